"""What the web app reports of its people, taken up from Redis."""

from datetime import UTC, datetime
from typing import Never

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from collector.errors import StoreError
from collector.model.sample import Sample
from collector.snapshot import Snapshot
from collector.store.batches import samples_batches
from collector.store.store import Store
from common.background import pause
from common.platform_report import INTERVAL_SECONDS, KEY, STALE_SECONDS, PlatformReport

FIRST_LOOK_SECONDS = 2.0
log = structlog.get_logger(__name__)


async def keep_reading(redis: Redis, store: Store, snapshot: Snapshot) -> Never:
    """Take up the report every interval; each report is written to the store once."""
    while True:
        await pause(FIRST_LOOK_SECONDS if snapshot.platform is None else INTERVAL_SECONDS)
        before = snapshot.platform
        await _read(redis, snapshot)
        report = snapshot.platform
        if report is not None and report != before:
            await _write(store, report)


async def _read(redis: Redis, snapshot: Snapshot) -> None:
    snapshot.platform = None
    try:
        body = await redis.get(KEY)
    except (RedisError, OSError) as error:
        snapshot.platform_problem = f"Redis does not answer: {error}"
        return
    if body is None:
        snapshot.platform_problem = "the web app has not reported its users"
        return
    try:
        report = msgspec.json.decode(body, type=PlatformReport)
    except msgspec.DecodeError as error:
        snapshot.platform_problem = f"the web app's report cannot be read: {error}"
        return
    if _age_seconds(report) > STALE_SECONDS:
        snapshot.platform_problem = (
            f"the web app reported last at {report.measured_at:%H:%M:%S} UTC"
        )
        return
    snapshot.platform, snapshot.platform_problem = report, None


def _age_seconds(report: PlatformReport) -> float:
    return (datetime.now(UTC) - report.measured_at).total_seconds()


async def _write(store: Store, report: PlatformReport) -> None:
    at = report.measured_at
    samples = [
        Sample(
            "platform_users",
            (("role", user.role), ("state", user.state), ("tier", user.tier)),
            at,
            user.count,
        )
        for user in report.users
    ]
    samples.append(Sample("platform_sessions_active", (), at, report.sessions_active))
    try:
        await store.append(*samples_batches(samples))
    except StoreError as error:
        log.warning("samples lost", count=len(samples), error=str(error))
