"""Three collectors write, two read, one is killed: every acknowledged row is there once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

from collector.store.lake import Lake, LakeDatabase
from collector.store.lake_upkeep import SWEEP
from collector.store.rollups import roll
from tests.lake.conftest import on_disk, on_s3
from tests.lake.member import ROWS
from tests.lake.test_lake import DIFFERENCES
from tests.servers.postgres import Postgres

ROOT = Path(__file__).parents[2]
BATCHES = 12
KILLED_AFTER = 5
BY_WRITER = """
SELECT labels['writer'], count(*), count(DISTINCT value), max(value)
FROM samples JOIN series USING (series_id) GROUP BY ALL ORDER BY ALL
"""


@contextmanager
def member(lake: Lake, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    settings = {"data_path": lake.settings.data_path, "maintain_every": "1s"}
    if lake.settings.s3 is not None:
        keys = {"key_id": "env:LAKE_KEY_ID", "secret": "env:LAKE_SECRET"}
        settings["s3"] = {"endpoint": lake.settings.s3.endpoint, **keys}  # type: ignore[assignment]
    told = json.dumps({"catalogue": lake.catalogue.address, "settings": settings})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lake.member", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"LAKE": told},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def acknowledged(output: IO[str] | None, until: int | None = None) -> int:
    """How many batches are on disk for certain, once the process ended or said so many."""
    assert output is not None
    done = 0
    for line in output:
        if line.startswith("ack"):
            done += 1
        if done == until:
            break
    return done


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> Lake:
    if request.param == "disk":
        return on_disk(postgres, tmp_path)
    return on_s3(postgres, request.getfixturevalue("s3"))


@pytest.mark.timeout(300)
def test_every_acknowledged_row_is_there_once_though_a_writer_is_killed(place: Lake) -> None:
    LakeDatabase(place).close()
    with ExitStack() as stack:
        readers = [stack.enter_context(member(place, "read")) for _ in range(2)]
        killed, *others = [
            stack.enter_context(member(place, "write", writer, 0, BATCHES)) for writer in "abc"
        ]
        acknowledged(killed.stdout, until=KILLED_AFTER)
        killed.kill()
        kept = KILLED_AFTER + acknowledged(killed.stdout)
        # What it did not acknowledge is sent again, to another collector.
        heir = stack.enter_context(member(place, "write", "a", kept, BATCHES))
        assert [acknowledged(other.stdout) for other in others] == [BATCHES, BATCHES]
        assert acknowledged(heir.stdout) == BATCHES - kept
        seen = [_seen(reader) for reader in readers]

    _check_readers(seen)
    _check_rows(place, kept)


def _seen(reader: subprocess.Popen[str]) -> list[int]:
    output, _ = reader.communicate("")
    return [int(line) for line in output.splitlines() if line.isdigit()]


def _check_readers(seen: list[list[int]]) -> None:
    for counts in seen:
        assert counts == sorted(counts)
        assert len(set(counts)) > 3
        assert counts[-1] <= 3 * BATCHES * ROWS


def _check_rows(place: Lake, kept: int) -> None:
    database = LakeDatabase(place)
    now = datetime.now(UTC)
    with database.writing() as cursor:
        while roll(cursor, now + timedelta(minutes=2)):
            pass
        [[total, distinct]] = cursor.execute(
            "SELECT count(*), count(DISTINCT event_id) FROM events"
        ).fetchall()
        by_writer = cursor.execute(BY_WRITER).fetchall()
        differences = cursor.execute(
            DIFFERENCES.format(unit="minute", table="samples_minute")
        ).fetchall()
        # Nothing is under way any more.
        cursor.execute(SWEEP, {"before": now + timedelta(hours=1)}).fetchall()
    database.close()

    assert (total, distinct) == (3 * BATCHES * ROWS, 3 * BATCHES * ROWS)
    whole = BATCHES * ROWS
    for writer, count, values, newest in by_writer[1:]:
        assert (writer, count, values, newest) == (writer, whole, whole, whole - 1)
    # The batch that was under way may be there from both: samples have no identity.
    writer, count, values, newest = by_writer[0]
    assert (writer, values, newest) == ("a", whole, whole - 1)
    assert count in (whole, whole + ROWS)
    assert differences == [(0,)]
