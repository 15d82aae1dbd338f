"""A DuckLake in place of the file: catalogue in PostgreSQL, rows as Parquet, many collectors.

DuckLake's own way with writers that meet is to let one of them start over, which took seconds at
worst and trusts in PostgreSQL speaking English; and two first inserts at once can lose the
statistics that later queries prune files by. So there is a lock, held in PostgreSQL for as long as
a transaction that writes: it ends with the process that holds it, and with it all of our SQL is
right for many writers as it is for one.
"""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import duckdb

from collector.errors import StoreBusyError, StoreError
from collector.model.event import ReceivedEvents
from collector.store.database import Database
from collector.store.db import CONFIG, roll_back
from collector.store.lake_ddl import for_lake
from collector.store.lake_events import CREATE, NUMBER_ALL, TO_POSTGRES, insert_lake_events
from collector.store.lockdown import lock_down
from collector.store.migrate import Migration
from common.errors import UsageError
from common.secret import without_password
from common.settings import Settings
from common.store_settings import LakeCatalogue, LakeSettings, S3Settings

EXTENSIONS = ("postgres_scanner", "ducklake", "httpfs")
LOCK_SECONDS = 30
# Any number will do, as long as all collectors use the same.
LOCK = "SELECT count(*) FROM postgres_query('locks', 'SELECT pg_advisory_xact_lock(7411)::text')"
# A reader has its catalogue as of its first query, and gives it back when that is over.
USE = "USE lake"
DATABASE = re.compile(r"\bdbname\s*=\s*'?([^\s']+)|//[^/]*/([^?]+)")
SIZE = """
SELECT CAST(coalesce(sum(file_size_bytes + delete_file_size_bytes), 0) AS BIGINT)
FROM ducklake_table_info('lake')
"""


@dataclass(frozen=True, slots=True)
class Lake:
    """Where a lake is and how it is reached."""

    catalogue: LakeCatalogue
    settings: LakeSettings

    @property
    def name(self) -> str:
        """For people: without host, user and password."""
        found = DATABASE.search(self.catalogue.address)
        return f"ducklake:postgres:{(found[1] or found[2]) if found else '…'}"

    @property
    def address(self) -> str:
        """As libpq reads it, with the password from wherever it is kept."""
        if self.settings.password is None:
            return self.catalogue.address
        secret = self.settings.password.get_secret_value()
        return with_parameter(self.catalogue.address, "password", secret)


def lake_of(settings: Settings) -> Lake:
    """Raises UsageError where measurements are in a file."""
    catalogue, lake = settings.collector.data, settings.collector.lake
    if isinstance(catalogue, LakeCatalogue) and lake is not None:
        return Lake(catalogue, lake)
    raise UsageError(
        f"collector.data = {catalogue}",
        why="this is a file, not a lake",
        remedy="see docs/scale.md for how measurements come into a lake",
    )


def place_of(settings: Settings) -> Path | Lake:
    """Where the collector keeps its measurements."""
    return settings.store_file if settings.collector.lake is None else lake_of(settings)


def with_parameter(address: str, name: str, value: str) -> str:
    """`address`, a URL or libpq's words, with one parameter more."""
    if "://" in address:
        return f"{address}{'&' if '?' in address else '?'}{name}={quote(value, safe='')}"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{address} {name}='{escaped}'"


class LakeDatabase(Database):
    """As a file is used, and each `writing` is alone among all collectors of the lake."""

    is_shared = True

    def __init__(self, lake: Lake) -> None:
        """Raises StoreError when the lake cannot be reached; blocks."""
        self._lake = lake
        self._size_bytes = 0
        self.origin = (("node", lake.settings.node),)
        super().__init__(Path(lake.name))
        self.measure()

    def _home(self) -> str:
        return self._lake.settings.data_path

    def _lock_down(self, connection: duckdb.DuckDBPyConnection, folders: Sequence[str]) -> None:
        """What is attached goes on working, S3 and new connections to PostgreSQL included."""
        lock_down(connection, folders, settings=self.own_settings, has_secrets=True)

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = _connect()
        try:
            _attach(connection, self._lake)
        except duckdb.Error as error:
            connection.close()
            raise self.explain(error) from error
        return connection

    @contextmanager
    def use(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with super().use() as cursor:
            cursor.execute(USE)
            yield cursor

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.use() as cursor, super().use() as keeper, _locked(keeper):
            yield cursor

    def migrations(self) -> list[Migration]:
        return [for_lake(migration) for migration in super().migrations()]

    def insert_events(
        self, connection: duckdb.DuckDBPyConnection, events: Sequence[ReceivedEvents]
    ) -> list[int]:
        return insert_lake_events(connection, events)

    def number_events(self) -> None:
        with super().use() as cursor:
            cursor.execute(NUMBER_ALL)

    def size_bytes(self) -> int:
        """Of the files, when that was last asked for: it costs a query."""
        return self._size_bytes

    def measure(self) -> None:
        with self.use() as cursor:
            [[self._size_bytes]] = cursor.execute(SIZE).fetchall()

    def explain(self, error: duckdb.Error) -> StoreError:
        return explain(self.path, error)

    def told(self, error: duckdb.Error) -> str:
        return without_password(str(error)).replace(self._lake.settings.data_path, "…/")


def explain(path: Path, error: duckdb.Error) -> StoreError:
    """What DuckDB, PostgreSQL or the bucket complained of, without passwords."""
    text = without_password(str(error))
    if "lock timeout" in text:
        return StoreBusyError(
            str(path),
            why=f"another collector has been writing for more than {LOCK_SECONDS} s",
            remedy="send it again; look at the other collector when this goes on",
        )
    if "Unable to connect to Postgres" in text or "server closed the connection" in text:
        return StoreError(
            str(path),
            why=f"PostgreSQL does not answer ({text.strip().splitlines()[-1].strip()})",
            remedy="check that it runs, and the host, user and password in collector.data",
        )
    if "HTTP" in text or isinstance(error, duckdb.IOException):
        return StoreError(
            str(path),
            why=text,
            remedy="check collector.lake.data_path, its permissions, free space and S3 keys",
        )
    return StoreError(str(path), why=text, remedy="see docs/scale.md, or report this error")


def _connect() -> duckdb.DuckDBPyConnection:
    config = {name: value for name, value in CONFIG.items() if name != "wal_autocheckpoint"}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    try:
        for name in EXTENSIONS:
            connection.load_extension(_extension(name))
    except duckdb.Error as error:
        connection.close()
        raise StoreError(
            "collector.data = ducklake:…",
            why=f"DuckDB {duckdb.__version__} has no extension for it here ({error})",
            remedy="run `scripts/setup lake` and use .venv-lake/bin/dhmon (docs/scale.md)",
        ) from error
    return connection


def _extension(name: str) -> str:
    """The file in the wheel, else the name: then DuckDB looks for what was installed for it."""
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    for place in (package and package.submodule_search_locations) or ():
        file = Path(place) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if file.exists():
            return str(file)
    return name


def _attach(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    settings = lake.settings
    if settings.s3 is not None:
        connection.execute(_s3_secret(settings.s3))
    locks = with_parameter(lake.address, "options", f"-c lock_timeout={LOCK_SECONDS}s")
    connection.execute(f"ATTACH {_text(locks)} AS locks (TYPE postgres, READ_ONLY)")
    # The first of all makes the catalogue, and two would get into each other's way.
    connection.execute(f"ATTACH {_text(lake.address)} AS numbers (TYPE postgres)")
    with _locked(connection.cursor()):
        connection.execute(TO_POSTGRES, {"sql": CREATE})
        connection.execute(
            f"ATTACH {_text('ducklake:postgres:' + lake.address)} AS lake "
            f"(DATA_PATH {_text(settings.data_path)}, "
            f"DATA_INLINING_ROW_LIMIT {settings.inline_rows})"
        )


@contextmanager
def _locked(keeper: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Alone among all collectors of the lake; `keeper` is used for nothing else meanwhile."""
    keeper.execute("BEGIN TRANSACTION")
    try:
        keeper.execute(LOCK).fetchall()
        yield
    finally:
        roll_back(keeper)


def _s3_secret(s3: S3Settings) -> str:
    place = ""
    if s3.endpoint is not None:
        scheme, _, host = s3.endpoint.partition("://")
        tls = "true" if scheme == "https" else "false"
        place = f", ENDPOINT {_text(host)}, URL_STYLE 'path', USE_SSL {tls}"
    key_id, secret = s3.key_id.get_secret_value(), s3.secret.get_secret_value()
    return (
        f"CREATE OR REPLACE SECRET lake (TYPE s3, KEY_ID {_text(key_id)}, "
        f"SECRET {_text(secret)}, REGION {_text(s3.region)}{place})"
    )


def _text(value: str) -> str:
    """As SQL writes it."""
    return "'" + value.replace("'", "''") + "'"
