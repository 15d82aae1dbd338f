"""What the collector is told of the people here: counts, never names."""

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from common.platform_report import INTERVAL_SECONDS, KEY, STALE_SECONDS, PlatformReport
from web.db import Database
from web.sessions import sessions_active
from web.users.queries import user_counts

# Soon again while the session store is only just starting.
RETRY_SECONDS = 1.0
log = structlog.get_logger(__name__)


async def keep_reporting(redis: Redis, database: Database) -> None:
    while True:
        try:
            await _report(redis, database)
        except (RedisError, OSError, SQLAlchemyError) as error:
            log.debug("users not reported", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            await asyncio.sleep(INTERVAL_SECONDS)


async def _report(redis: Redis, database: Database) -> None:
    report = PlatformReport(
        measured_at=datetime.now(UTC),
        users=await user_counts(database),
        sessions_active=await sessions_active(redis),
    )
    await redis.set(KEY, msgspec.json.encode(report), ex=int(STALE_SECONDS))
