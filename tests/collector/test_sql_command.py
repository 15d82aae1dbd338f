"""`dhmon sql` beside a running collector and without one; the examples of its documentation."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from collector.store.sandbox import TABLES, admit
from tests.e2e.test_collector_process import running, write_config
from tests.servers.ports import free_ports

DHMON = [sys.executable, "-c", "from common.cli import main; main()"]
DOCUMENT = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


def ask(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DHMON, "sql", *words, "--config", config],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a store that no collector has open."""
    config = write_config(tmp_path, free_ports(1)[0])
    path = tmp_path / "data" / "monitor.duckdb"
    with closing(open_database(path)) as connection:
        migrate(connection, path, known_migrations())
        connection.execute("INSERT INTO series VALUES (1, 'temperature', map {'room': 'attic'})")
    return config


def test_without_a_collector_it_opens_the_store_itself(config: Path) -> None:
    outcome = ask(config, "SELECT metric, labels, series_id FROM series")

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == [
        "metric       labels             series_id",
        "-----------  -----------------  ---------",
        'temperature  {"room": "attic"}          1',
        "(1 row)",
    ]


def test_beside_a_running_collector_it_asks_that(tmp_path: Path) -> None:
    [port] = free_ports(1)
    config = write_config(tmp_path, port)

    with running(config, port):
        found = ask(config, "SELECT count(*) >= 1 AS one FROM migration", "--json")
        refused = ask(config, "DROP TABLE samples")

    assert json.loads(found.stdout)["rows"] == [[True]], found.stderr
    assert refused.returncode == 1
    assert "contains anything but SELECT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_json_csv_and_parameters(config: Path) -> None:
    sql = "SELECT ? AS a, ? AS b, ? AS c, ? AS d"
    values = ("--param", "7", "--param", "attic", "--param", '"8"', "--param", "null")

    as_json = ask(config, sql, *values, "--json")
    as_csv = ask(config, sql, *values, "--csv")

    answer = json.loads(as_json.stdout)
    assert answer["rows"] == [[7, "attic", "8", None]]
    assert answer["truncated"] is False
    assert as_csv.stdout.splitlines() == ["a,b,c,d", "7,attic,8,"]


def test_what_is_cut_off_is_said(config: Path) -> None:
    as_table = ask(config, "FROM range(5)", "--limit", "2")
    as_csv = ask(config, "FROM range(5)", "--limit", "2", "--csv")

    assert as_table.stdout.splitlines()[-1] == "(the first 2 rows; there are more)"
    assert as_csv.stdout.splitlines() == ["range", "0", "1"]
    assert "there are more rows than these" in as_table.stderr
    assert "there are more rows than these" in as_csv.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("FROM '/etc/passwd'",), 1, "the table /etc/passwd"),
        (("SELECT nope FROM series",), 1, '"nope" not found'),
        (("SELECT 1", "--json", "--csv"), 2, "exclude each other"),
        (("SELECT 1", "--limit", "0"), 2, "--limit"),
        ((), 2, "Missing argument"),
    ],
)
def test_an_error_is_one_sentence(
    config: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    outcome = ask(config, *words)

    assert outcome.returncode == code
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


def test_where_there_is_no_store_none_is_made(tmp_path: Path) -> None:
    outcome = ask(write_config(tmp_path, free_ports(1)[0]), "SELECT 1")

    assert outcome.returncode == 1
    assert "there is no store" in outcome.stderr
    assert not (tmp_path / "data" / "monitor.duckdb").exists()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("examples") / "monitor.duckdb"
    with closing(open_database(path)) as connection:
        migrate(connection, path, known_migrations())
        yield connection


@pytest.mark.parametrize("sql", EXAMPLES, ids=[sql.split()[1] for sql in EXAMPLES])
def test_the_documented_examples_work(store: duckdb.DuckDBPyConnection, sql: str) -> None:
    admit(store, sql)

    store.execute(sql).fetchall()


def test_there_are_examples_and_every_table_is_documented() -> None:
    assert len(EXAMPLES) >= 5
    assert [name for name in sorted(TABLES) if f"`{name}`" not in DOCUMENT] == []
