"""What the collector is told of the people here: counts, never names."""

from datetime import UTC, datetime
from typing import Never

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from common.background import pause
from common.platform_report import INTERVAL_SECONDS, KEY, STALE_SECONDS, PlatformReport
from web.db import Database
from web.errors import SessionsAwayError
from web.sessions import SessionStorage
from web.users.queries import user_counts

# Soon again while the session store is only just starting.
RETRY_SECONDS = 1.0
log = structlog.get_logger(__name__)


async def keep_reporting(redis: Redis, database: Database, sessions: SessionStorage) -> Never:
    """Says once when it cannot, and once when it can again."""
    is_told = True
    while True:
        try:
            await _report(redis, database, sessions)
        except (SessionsAwayError, RedisError, SQLAlchemyError, OSError) as error:
            if is_told:
                log.warning("users cannot be reported, trying again", error=str(error))
            is_told = False
        else:
            if not is_told:
                log.info("users are reported again")
            is_told = True
        await pause(INTERVAL_SECONDS if is_told else RETRY_SECONDS)


async def _report(redis: Redis, database: Database, sessions: SessionStorage) -> None:
    report = PlatformReport(
        measured_at=datetime.now(UTC),
        users=await user_counts(database),
        sessions_active=await sessions.count(),
    )
    await redis.set(KEY, msgspec.json.encode(report), ex=int(STALE_SECONDS))
