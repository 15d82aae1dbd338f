"""kill -9 at any moment: what was acknowledged is there once, and roll-ups say what rows say."""

import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from collector.store.db import open_database
from tests.collector.store.test_rollups import roll_all

KILLS = 20
LONGEST_SECONDS = 0.6
START_SECONDS = 60.0
# Minutes by brute force, where they differ from what is kept; the same for hours.
DIFFERENT = """
WITH raw AS (
    SELECT
        series_id, date_trunc('{unit}', ts) AS ts, count(*) AS count, sum(value) AS sum,
        min(value) AS min, max(value) AS max
    FROM samples
    WHERE ts < (SELECT rolled_until FROM rollup_state WHERE level = '{unit}')
    GROUP BY ALL
)
SELECT * FROM (
    (SELECT * FROM raw EXCEPT SELECT series_id, ts, count, sum, min, max FROM samples_{unit})
    UNION ALL
    (SELECT series_id, ts, count, sum, min, max FROM samples_{unit} EXCEPT SELECT * FROM raw)
)
"""


def run_and_kill(path: Path, first: int, seconds: float) -> list[tuple[str, int, int]]:
    """What the child acknowledged before it was killed, `seconds` after its first word."""
    command = [sys.executable, "-m", "tests.collector.store.crash_child", str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline()]
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        said += child.stdout.readlines()
        assert child.wait() == -signal.SIGKILL, "it had ended by itself"
    # The last line may have been cut in the middle.
    words = [line.split() for line in said if line.endswith("\n") and line.startswith(("s", "e"))]
    return [(kind, int(begin), int(end)) for kind, begin, end in words]


def check(connection: duckdb.DuckDBPyConnection, acknowledged: list[tuple[str, int, int]]) -> None:
    for kind, query in (
        ("samples", "SELECT CAST(value AS BIGINT), count(*) FROM samples GROUP BY ALL"),
        ("events", "SELECT CAST(event_id AS BIGINT), count(*) FROM events GROUP BY ALL"),
    ):
        found = dict(connection.execute(query).fetchall())
        wanted = {
            number
            for one, begin, end in acknowledged
            if one == kind
            for number in range(begin, end)
        }
        assert wanted <= found.keys(), f"acknowledged {kind} are missing"
        assert set(found.values()) <= {1}, f"{kind} are there twice"
    assert differences(connection) == []


def differences(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    """Buckets that are not what the samples say, once all have been rolled up."""
    roll_all(connection, datetime.now(UTC))
    return [
        row
        for unit in ("minute", "hour")
        for row in connection.execute(DIFFERENT.format(unit=unit)).fetchall()
    ]


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_however_often_the_store_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "m.duckdb"
    acknowledged: list[tuple[str, int, int]] = []
    for kill in range(KILLS):
        seconds = random.uniform(0, LONGEST_SECONDS)  # noqa: S311 - a moment, not a secret
        acknowledged += run_and_kill(path, kill * 1_000_000, seconds)
        with closing(open_database(path)) as connection:
            check(connection, acknowledged)

    assert len(acknowledged) > KILLS
