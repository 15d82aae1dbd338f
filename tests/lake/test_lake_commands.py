"""`dhmon` on a lake, as its operator uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from collector.store.batches import samples_batches
from collector.store.lake import Lake
from collector.store.store import Store, open_store
from tests.lake.conftest import telemetry
from tests.lake.member import ROWS, events, samples
from tests.servers.eventually import eventually
from tests.servers.process import running

NODES = "SELECT DISTINCT labels['node'] AS node FROM series WHERE starts_with(metric, 'system_')"
RESULTS = "SELECT DISTINCT name, verdict FROM probe_results"
DHMON = Path(sys.executable).with_name("dhmon")
EVERYTHING = """
SELECT metric, labels, ts, value FROM samples JOIN series USING (series_id) ORDER BY ALL
"""


def configured(folder: Path, lake: Lake | None = None, more: str = "") -> Path:
    """A configuration for `lake`, or for a file in `folder`."""
    path = folder / ("lake.toml" if lake else "file.toml")
    data = f'data = "{folder}/monitor.duckdb"'
    if lake is not None:
        data = (
            f'data = "ducklake:postgres:{lake.catalogue.address}"\n'
            f'lake = {{ data_path = "{lake.settings.data_path}", keep_snapshots = "10m" }}\n'
            f'data_directory = "{folder}/data"'
        )
    path.write_text(f'[collector]\nlisten = "127.0.0.1:0"\n{data}\n{more}', encoding="utf-8")
    return path


def dhmon(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DHMON, *arguments], capture_output=True, text=True, check=False)


async def fill(store: Store, batches: int = 4) -> None:
    for batch in range(batches):
        await store.append(*samples_batches(samples("a", batch)))
        await store.append_events(events("a", batch))


async def test_maintaining_joins_files_and_loses_nothing(
    lake: Lake, store: Store, tmp_path: Path
) -> None:
    await fill(store)
    before = await store.fetch(dict, EVERYTHING)
    orphan = Path(lake.settings.data_path) / "main/samples/left-by-a-crash.parquet"
    orphan.write_bytes(b"PAR1")
    files = "SELECT count(*) AS count FROM ducklake_list_files('lake', 'samples')"
    [many] = await store.fetch(dict, files)

    done = dhmon("lake", "maintain", "--json", "--config", configured(tmp_path, lake))

    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["flush"] > 0
    assert outcome["merge"] >= many["count"] == 4
    [few] = await store.fetch(dict, files)
    assert few == {"count": 1}
    assert await store.fetch(dict, EVERYTHING) == before
    # It may be part of a commit that is under way: for a day.
    assert outcome["sweep"] == 0
    assert orphan.exists()


async def test_all_rows_move_from_a_file_to_a_lake_and_back(lake: Lake, tmp_path: Path) -> None:
    async with open_store(tmp_path / "monitor.duckdb", telemetry()) as store:
        await fill(store)
        before = await store.fetch(dict, EVERYTHING)
    there, back = tmp_path / "there", tmp_path / "back"
    (tmp_path / "new").mkdir()

    moves = [
        dhmon("move", way, folder, "--json", "--config", config)
        for way, folder, config in (
            ("out", there, configured(tmp_path)),
            ("in", there, configured(tmp_path, lake)),
            ("out", back, configured(tmp_path, lake)),
            ("in", back, configured(tmp_path / "new")),
        )
    ]

    assert [move.stderr for move in moves if move.returncode] == []
    assert [json.loads(move.stdout)["samples"] for move in moves] == [4 * ROWS] * 4
    async with open_store(tmp_path / "new/monitor.duckdb", telemetry()) as store:
        assert await store.fetch(dict, EVERYTHING) == before
        assert await store.append_events(events("a", 1)) == set(range(ROWS))
    async with open_store(lake, telemetry()) as store:
        assert await store.fetch(dict, EVERYTHING) == before
        assert await store.append_events(events("a", 3)) == set(range(ROWS))


async def test_rows_are_not_moved_on_top_of_others(
    lake: Lake, store: Store, tmp_path: Path
) -> None:
    await fill(store, batches=1)
    config = configured(tmp_path, lake)
    assert dhmon("move", "out", tmp_path / "out", "--config", config).returncode == 0

    into_full = dhmon("move", "in", tmp_path / "out", "--config", config)
    onto_full = dhmon("move", "out", tmp_path / "out", "--config", config)

    assert into_full.returncode == 1
    assert "1 rows in series; move into a store that is new" in into_full.stderr
    assert "there is something in it; give an empty folder" in onto_full.stderr


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SELECT count(*) AS n FROM samples", '"rows":[[250]]'),
        ("SELECT * FROM postgres_query('locks', 'SELECT 1')", "postgres_query"),
        ("SELECT * FROM __ducklake_metadata_lake.public.ducklake_metadata", "ducklake_metadata"),
        ("SELECT * FROM numbers.public.dhmon_event_numbers", "dhmon_event_numbers"),
        ("SELECT * FROM ducklake_list_files('lake', 'samples')", "ducklake_list_files"),
    ],
)
async def test_people_ask_the_lake_for_our_tables_and_nothing_else(
    lake: Lake, store: Store, tmp_path: Path, query: str, answer: str
) -> None:
    await fill(store, batches=1)

    asked = dhmon("sql", query, "--json", "--config", configured(tmp_path, lake))

    assert answer in asked.stdout.replace(" ", "") + asked.stderr
    assert (asked.returncode == 0) is query.startswith("SELECT count")


@pytest.mark.parametrize("command", [["backup", "x"], ["compact"], ["verify"]])
def test_what_needs_a_file_is_refused_in_one_sentence(
    lake: Lake, tmp_path: Path, command: list[str]
) -> None:
    done = dhmon(*command, "--config", configured(tmp_path, lake))

    assert done.returncode == 2
    assert "this works on a DuckDB file, not on a lake; see docs/scale.md" in done.stderr


async def test_a_collector_runs_on_a_lake(lake: Lake, tmp_path: Path) -> None:
    more = """
    host_interval = "1s"
    [[probe]]
    name = "closed"
    type = "tcp"
    target = "127.0.0.1:1"
    interval = "1s"
    timeout = "500ms"
    retries = 0
    """
    config = configured(tmp_path, lake, more)
    log = tmp_path / "collector.log"

    with running([DHMON, "collector", "--config", config], log=log, ready="incident opened"):
        async with open_store(lake, telemetry()) as other:
            nodes = await eventually(lambda: other.fetch(dict, NODES), bool)
            results = await eventually(lambda: other.fetch(dict, RESULTS), bool)

    assert nodes == [{"node": lake.settings.node}]
    assert results == [{"name": "closed", "verdict": "down"}]
    assert "Traceback" not in log.read_text("utf-8")
