"""The users database: opened, brought up to date, measured."""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from common.errors import DhmonError

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x6468_6D6F_6E  # "dhmon": the advisory lock's number in PostgreSQL
BUSY_SECONDS = 10

Database = async_sessionmaker[AsyncSession]
# Told of every statement: database system, operation, seconds.
OnStatement = Callable[[str, str, float], None]


@asynccontextmanager
async def open_database(
    address: str, on_statement: OnStatement | None = None
) -> AsyncIterator[Database]:
    """Sessions on the database at `address`, which is migrated first.

    Raises DhmonError when it cannot be opened or is newer than this code.
    """
    url = async_url(address)
    engine = _engine(url)
    if on_statement is not None:
        _measure(engine, on_statement)
    try:
        await _migrate(engine, url)
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


def async_url(address: str) -> URL:
    """As configured, with the asynchronous driver."""
    url = make_url(address)
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
        with _one_process_at_a_time(url):
            async with engine.begin() as connection:
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
        why = str(getattr(error, "orig", None) or error)
        raise DhmonError(
            f"web.database = {shown}",
            why=f"it cannot be opened ({why})",
            remedy="check the path, its permissions and that it is a database",
        ) from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _one_process_at_a_time(url: URL) -> Iterator[None]:
    """SQLite has no lock that spans Alembic's statements; a file beside it does."""
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _measure(engine: AsyncEngine, on_statement: OnStatement) -> None:
    system = engine.dialect.name

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(connection: Connection, *rest: object) -> None:
        connection.info["started"] = time.perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(connection: Connection, cursor: object, statement: str, *rest: object) -> None:
        operation = statement.split(maxsplit=1)[0].upper()
        on_statement(system, operation, time.perf_counter() - connection.info["started"])


async def ping(database: Database) -> str:
    """The kind of database, once it has answered."""
    async with asyncio.timeout(2), database() as session:
        await session.execute(text("SELECT 1"))
        return session.get_bind().dialect.name
