"""Parts of a collector, real ones, for tests that need them."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from collector.model.observation import Observation
from collector.model.result import ProbeResult
from collector.store.store import Store, open_store
from common.probe_settings import HttpProbe
from common.settings import OtelSettings
from common.telemetry import Telemetry, start

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def telemetry() -> Telemetry:
    return start(OtelSettings(), service="test", version="0", environment="development")


@pytest.fixture
async def store(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "monitor.duckdb", telemetry) as opened:
        yield opened


ResultMaker = Callable[..., ProbeResult]


def make_probe(name: str = "shop", *, critical: bool = False, interval: str = "30s") -> HttpProbe:
    return HttpProbe.model_validate(
        {
            "name": name,
            "type": "http",
            "target": f"http://{name}.example/",
            "critical": critical,
            "interval": interval,
            "timeout": "500ms",
            "retries": 0,
        }
    )


def make_result(
    verdict: Literal["up", "down", "unknown"] = "up",
    *,
    probe: HttpProbe | None = None,
    started_at: datetime = NOON,
    in_maintenance: bool = False,
    seen: Observation | None = None,
) -> ProbeResult:
    return ProbeResult(
        probe=probe or make_probe(),
        verdict=verdict,
        in_maintenance=in_maintenance,
        started_at=started_at,
        duration_seconds=0.25,
        attempts=1,
        failed_attempts=0 if verdict == "up" else 1,
        reason=None if verdict == "up" else "status",
        detail=None if verdict == "up" else "expected status 200, got 503",
        lag_seconds=0.001,
        seen=seen or Observation(),
    )
