"""Health over HTTP: `/healthz` says that the process lives, `/readyz` runs its checks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
from aiohttp import web

CHECK_TIMEOUT_SECONDS = 2.0


class CheckFailed(Exception):  # noqa: N818 - a failed check is a finding, not a fault
    """Raised by a check; its text is the detail that `/readyz` shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One dependency: `run` returns a detail for people, or raises CheckFailed."""

    name: str
    critical: bool
    run: Callable[[], Awaitable[str]]


class CheckOutcome(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok", "failed"]
    critical: bool
    duration_ms: float
    detail: str


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """`degraded`: something failed that the process can do without."""

    status: Literal["ok", "degraded", "failed"]
    checks: dict[str, CheckOutcome]


CHECKS = web.AppKey("CHECKS", list[Check])


async def run_checks(checks: list[Check]) -> HealthReport:
    """Run all checks at once, each within CHECK_TIMEOUT_SECONDS."""
    outcomes = await asyncio.gather(*(_run(check) for check in checks))
    named = dict(zip((check.name for check in checks), outcomes, strict=True))
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    status: Literal["ok", "degraded", "failed"] = "degraded" if failed else "ok"
    if any(outcome.critical for outcome in failed):
        status = "failed"
    return HealthReport(status=status, checks=named)


async def _run(check: Check) -> CheckOutcome:
    started = time.monotonic()
    status: Literal["ok", "failed"] = "ok"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            detail = await check.run()
    except CheckFailed as error:
        status, detail = "failed", str(error)
    except TimeoutError:
        status, detail = "failed", f"no answer within {CHECK_TIMEOUT_SECONDS:g} s"
    return CheckOutcome(
        status=status,
        critical=check.critical,
        duration_ms=round((time.monotonic() - started) * 1000, 3),
        detail=detail,
    )


async def healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    report = await run_checks(request.app[CHECKS])
    return web.Response(
        status=503 if report.status == "failed" else 200,
        body=msgspec.json.encode(report),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
