"""One SELECT over our tables gets through, nothing else does."""

import string
from collections.abc import Iterator
from contextlib import closing

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import QueryError, RefusedQueryError
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.insert import insert_batch
from collector.store.lockdown import lock_down
from collector.store.migrate import known_migrations, migrate
from collector.store.sandbox import TABLES, admit
from collector.store.sandbox_functions import FUNCTIONS, TABLE_FUNCTIONS
from tests.collector.store.escapes import ESCAPES
from tests.collector.store.questions import AT, QUESTIONS

# Tables of the store's own housekeeping.
CLOSED = {"sorted_days"}
# What the parser makes functions of, though the catalogue does not list it.
SYNTAX = {"->", "coalesce"}
ONLY_FROM_2_0 = {"!=", "<", "<=", "=", ">", ">=", "assert_true", "if", "overlay"}
CATALOGUE = "SELECT DISTINCT function_name, function_type FROM duckdb_functions()"
# If one of these words is in a function's name, somebody has to have looked at it twice.
SUSPICIOUS = (
    "read", "scan", "file", "env", "setting", "secret", "attach", "sql", "query", "pragma",
    "duckdb", "log", "glob", "sniff", "nextval", "currval", "variable", "catalog", "database",
    "schema", "privilege", "sleep", "seed", "execute", "load", "install",
)  # fmt: skip
LOOKED_AT = {"log", "log2", "log10"}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("sandbox")
    with closing(duckdb.connect(str(folder / "monitor.duckdb"))) as connection:
        migrate(connection, folder, known_migrations())
        lock_down(connection, [folder])
        # The writer's way in has to stay open under the lock.
        for batch in samples_batches(
            [
                Sample("temperature", (("room", room),), AT, value)
                for room, value in (("attic", 30.0), ("cellar", 10.0), ("hall", 20.0))
            ]
        ):
            insert_batch(connection, batch)
        yield connection


@pytest.mark.parametrize("sql", ESCAPES, ids=lambda sql: sql[:60])
def test_every_way_out_is_refused(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(QueryError):
        admit(connection, sql)


@pytest.mark.parametrize(
    ("sql", "values", "expected"), QUESTIONS, ids=[q[0][:60] for q in QUESTIONS]
)
def test_a_question_about_our_tables_is_answered(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    values: list[object],
    expected: list[tuple[object, ...]],
) -> None:
    admit(connection, sql)

    assert connection.execute(sql, values or None).fetchall() == expected


def test_a_refusal_names_what_is_not_allowed(connection: duckdb.DuckDBPyConnection) -> None:
    for sql, named in {
        "SELECT getenv('HOME')": "the function getenv",
        "FROM duckdb_settings": "the table duckdb_settings",
        "FROM (SHOW DATABASES)": "SHOW",
        "DROP TABLE samples": "anything but SELECT",
    }.items():
        with pytest.raises(QueryError, match=named) as refused:
            admit(connection, sql)
        assert isinstance(refused.value, RefusedQueryError)


def test_every_function_that_is_allowed_exists(connection: duckdb.DuckDBPyConnection) -> None:
    there = {name for name, _ in connection.execute(CATALOGUE).fetchall()}

    assert FUNCTIONS - there <= SYNTAX | ONLY_FROM_2_0
    assert there >= TABLE_FUNCTIONS


def test_a_function_that_nobody_has_looked_at_is_not_allowed() -> None:
    suspicious = {name for name in FUNCTIONS if any(word in name for word in SUSPICIOUS)}

    assert suspicious == LOOKED_AT


def test_no_pragma_and_no_other_table_function_is_allowed(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    reaching = {
        name
        for name, kind in connection.execute(CATALOGUE).fetchall()
        if kind in ("pragma", "table", "table_macro")
    }

    for name in reaching - TABLE_FUNCTIONS:
        with pytest.raises(QueryError):
            admit(connection, f'FROM "{name}"(1)')


def test_each_table_of_the_store_is_either_open_or_closed_on_purpose(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    names = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"
    ).fetchall()

    assert {name for [name] in names} == TABLES | CLOSED


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "COPY samples TO '/tmp/dhmon-escape.csv'",
        "ATTACH '/tmp/dhmon-escape.duckdb' AS x",
        "LOAD httpfs",
        "INSTALL httpfs",
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "CREATE PERSISTENT SECRET s (TYPE s3)",
    ],
)
def test_what_would_get_past_the_sandbox_stands_before_a_wall(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    with closing(connection.cursor()) as cursor, pytest.raises(duckdb.Error):
        cursor.execute(sql).fetchall()


def test_python_variables_are_no_tables(connection: duckdb.DuckDBPyConnection) -> None:
    batch = samples_batches([Sample("x", (), AT, 1.0)])[1].rows

    assert batch.num_rows == 1
    with pytest.raises(duckdb.CatalogException):
        connection.execute("FROM batch")


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=string.printable, max_size=80))
def test_no_text_makes_the_sandbox_stumble(text: str) -> None:
    with closing(duckdb.connect()) as connection:
        try:
            admit(connection, text)
        except QueryError:
            return
