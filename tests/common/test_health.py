"""What `/readyz` says."""

import asyncio

import pytest

from common import health
from common.health import Check, CheckFailed, run_checks


async def fine() -> str:
    return "answers"


async def broken() -> str:
    raise CheckFailed("connection refused; start it")


async def hanging() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_all_is_well_when_every_check_passes() -> None:
    report = await run_checks([Check(name="store", critical=True, run=fine)])

    assert report.status == "ok"
    assert report.checks["store"].detail == "answers"


async def test_a_failed_check_degrades_and_a_critical_one_fails() -> None:
    optional = Check(name="redis", critical=False, run=broken)
    critical = Check(name="store", critical=True, run=broken)

    assert (await run_checks([optional])).status == "degraded"
    assert (await run_checks([optional, critical])).status == "failed"
    assert (await run_checks([optional])).checks["redis"].detail == "connection refused; start it"


async def test_a_check_that_hangs_fails_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_SECONDS", 0.05)

    report = await run_checks(
        [
            Check(name="slow", critical=True, run=hanging),
            Check(name="store", critical=True, run=fine),
        ]
    )

    assert report.checks["slow"].status == "failed"
    assert report.checks["slow"].detail == "no answer within 0.05 s"
    assert report.checks["store"].status == "ok"
