"""The users database: opened, brought up to date, measured."""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, ExceptionContext, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from common.errors import DhmonError, UsageError
from common.health import CheckFailed
from common.telemetry import Timing

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x6468_6D6F_6E  # "dhmon": the advisory lock's number in PostgreSQL
BUSY_SECONDS = 10

Database = async_sessionmaker[AsyncSession]


@asynccontextmanager
async def open_database(address: str, timing: Timing | None = None) -> AsyncIterator[Database]:
    """Sessions on the database at `address` (see `web.database`), which is migrated first.

    Every statement is recorded in `timing`.
    Raises DhmonError when it cannot be opened or is newer than this code.
    """
    url = async_url(address)
    engine = _engine(url)
    if timing is not None:
        _measure(engine, timing)
    try:
        await _migrate(engine, url)
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def check_database(database: Database) -> str:
    """The kind of database. Raises CheckFailed when it does not answer."""
    try:
        async with database() as session:
            await session.execute(text("SELECT 1"))
            return session.get_bind().dialect.name
    except (SQLAlchemyError, OSError) as error:
        raise CheckFailed(_why(error)) from None


def async_url(address: str) -> URL:
    """As configured, with the asynchronous driver."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # Without its reason, which may quote a part of the password.
        raise UsageError(
            "web.database",
            why="it is not a URL that can be read",
            remedy="write sqlite:///path or postgresql+asyncpg://user:password@host/name",
        ) from None
    return url.set(drivername="sqlite+aiosqlite") if url.drivername == "sqlite" else url


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: object, record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


async def _migrate(engine: AsyncEngine, url: URL) -> None:
    shown = url.database if url.get_backend_name() == "sqlite" else url.render_as_string()
    try:
        async with _one_process_at_a_time(url), engine.begin() as connection:
            if url.get_backend_name() == "postgresql":
                lock = text("SELECT pg_advisory_xact_lock(:number)")
                await connection.execute(lock, {"number": MIGRATION_LOCK})
            await connection.run_sync(_upgrade)
    except CommandError as error:
        raise DhmonError(
            f"web.database = {shown}",
            why=f"it was written by a newer dhgate-monitor ({error})",
            remedy="install that version, or use another database",
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise DhmonError(
            f"web.database = {shown}",
            why=f"it cannot be opened ({_why(error)})",
            remedy="check the address, the permissions, and that there is a database",
        ) from error


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # Python's driver begins no transaction before DDL: half a migration would stay.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@asynccontextmanager
async def _one_process_at_a_time(url: URL) -> AsyncIterator[None]:
    """SQLite has no lock that spans Alembic's statements; a file beside it does."""
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Before SQLite makes it readable for everybody; the files beside it take its permissions.
    await asyncio.to_thread(path.touch, mode=0o600)
    with path.with_name(path.name + ".lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


def _measure(engine: AsyncEngine, timing: Timing) -> None:
    system = engine.dialect.name

    def record(connection: Connection, statement: str, error: BaseException | None) -> None:
        words = statement.split(maxsplit=1)
        attributes: dict[str, str | int] = {
            "db.system.name": system,
            "db.operation.name": words[0].upper() if words else "",
        }
        if error is not None:
            attributes["error.type"] = type(error).__name__
        timing.record(time.perf_counter() - connection.info["started"], attributes)

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(connection: Connection, *rest: object) -> None:
        connection.info["started"] = time.perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(connection: Connection, cursor: object, statement: str, *rest: object) -> None:
        record(connection, statement, None)

    @event.listens_for(engine.sync_engine, "handle_error")
    def fail(context: ExceptionContext) -> None:
        if context.connection is not None and context.statement is not None:
            record(context.connection, context.statement, context.original_exception)


def _why(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error)
