"""What tests of backups do again and again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import msgspec

from collector.model.report import BackedUp, Checked, Report
from collector.model.sample import Sample
from collector.store.backup import BackupOptions
from collector.store.block_copy import CopyRequest
from collector.store.care import back_up
from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from collector.store.restore import restore, verify_folder
from collector.store.store import Store
from tests.collector.conftest import NOON

VALUES = "SELECT value FROM samples ORDER BY value"
SUM = "SELECT count(*), bit_xor(hash(ts, value)) FROM samples"
FILL = """
INSERT INTO samples SELECT 1, make_timestamptz(i), hash(i, $seed) / 1e9 FROM range($rows) AS t(i)
"""


def numbered(*values: float) -> list[Sample]:
    return [Sample("n", (), NOON + timedelta(seconds=value), value) for value in values]


async def done(store: Store, options: BackupOptions) -> BackedUp:
    said: list[Report] = []
    await back_up(store, options, said.append)
    last = said[-1]
    assert isinstance(last, BackedUp)
    return last


def restored(folder: Path, to: Path, snapshot: str | None = None) -> list[float]:
    restore(folder, snapshot, to, None, lambda report: None)
    connection = open_database(to)
    try:
        return [row[0] for row in connection.execute(VALUES).fetchall()]
    finally:
        connection.close()


def blocks_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("blocks/??/*.zst"))


@contextmanager
def filled(path: Path, rows: int = 3_000_000) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of some size, open in this process."""
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute(FILL, {"rows": rows, "seed": 0})
    try:
        yield connection
    finally:
        connection.close()


def problems(folder: Path) -> list[str]:
    said: list[Report] = []
    verify_folder(folder, said.append)
    checked = [report for report in said if isinstance(report, Checked)]
    return [report.detail for report in checked if report.differences]


def copied_beside(request: CopyRequest, kill_after_seconds: float | None = None) -> float:
    """Run the copying process; returns how long it took."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "collector.store.block_copy"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(request))
    process.stdin.close()
    if kill_after_seconds is None:
        assert process.wait(60) == 0
        return time.monotonic() - started
    try:
        process.wait(kill_after_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return time.monotonic() - started
