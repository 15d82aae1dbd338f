"""Killed during a checkpoint or a migration, the store has what was acknowledged, once."""

import subprocess
import sys
from pathlib import Path

import pytest

from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from collector.store.restore import verify_folder

NEWEST = known_migrations()[-1].version
# Says each number after its row is on disk; checkpoints all the while.
WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from collector.model.sample import Sample
from collector.store.batches import samples_batches
from collector.store.store import open_store
from common.settings import OtelSettings
from common.telemetry import start

async def checkpoint(store):
    while True:
        await store.checkpoints.checkpoint()

async def main():
    telemetry = start(OtelSettings(), service="t", version="0", environment="development")
    async with open_store(Path(sys.argv[1]), telemetry) as store:
        checkpointing = asyncio.create_task(checkpoint(store))
        number = int(sys.argv[2])
        while True:
            await store.append(*samples_batches([Sample("n", (), datetime.now(UTC), number)]))
            print(number, flush=True)
            number += 1

asyncio.run(main())
"""
# Ends itself at the start, in the middle or at the end of a migration.
MIGRATION = """
import asyncio, os, signal, sys
from pathlib import Path
from collector.store import database, migrate
from collector.store.migrate import Migration, known_migrations
from collector.store.store import open_store
from common.settings import OtelSettings
from common.telemetry import start

moment, apply = sys.argv[2], migrate._apply

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def killed(connection, path, migration):
    if moment == "before":
        kill()
    if moment == "in the middle":
        connection.execute("BEGIN TRANSACTION")
        connection.execute(migration.sql)
        kill()
    apply(connection, path, migration)
    kill()

async def main():
    sql = "CREATE TABLE fresh AS SELECT * FROM samples; UPDATE samples SET value = value + 1"
    extra = Migration(known_migrations()[-1].version + 1, "extra", sql)
    database.known_migrations = lambda: [*known_migrations(), extra]
    migrate._apply = killed
    telemetry = start(OtelSettings(), service="t", version="0", environment="development")
    async with open_store(Path(sys.argv[1]), telemetry):
        pass

asyncio.run(main())
"""


def test_killed_during_checkpoints_it_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "monitor.duckdb"
    acknowledged = -1
    for rows in (3, 40, 1, 90, 17, 60):
        first, last = acknowledged + 1, acknowledged + rows
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if line.strip().isdigit():
                    acknowledged = int(line)
                if acknowledged >= last:
                    break
            writer.kill()
            said = [int(line) for line in writer.stdout if line.strip().isdigit()]
            acknowledged = max([acknowledged, *said])

        connection = open_database(path)
        values = [row[0] for row in connection.execute("SELECT value FROM samples").fetchall()]
        connection.close()
        # The row that was being written when it was killed may be there or not.
        assert sorted(values) in ([*range(acknowledged + 1)], [*range(acknowledged + 2)])
        acknowledged = len(values) - 1


@pytest.mark.parametrize(
    ("moment", "version", "total"),
    [("before", NEWEST, 0), ("in the middle", NEWEST, 0), ("after", NEWEST + 1, 200_000)],
)
def test_killed_during_a_migration_it_is_done_or_not(
    tmp_path: Path, moment: str, version: int, total: int
) -> None:
    path = tmp_path / "monitor.duckdb"
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute("INSERT INTO samples SELECT 1, now(), 0 FROM range(200000)")
    connection.close()

    killed = subprocess.run(
        [sys.executable, "-c", MIGRATION, path, moment], check=False, stdout=subprocess.DEVNULL
    )

    connection = open_database(path)
    found = connection.execute(
        "SELECT (SELECT max(version) FROM migration), (SELECT sum(value) FROM samples)"
    ).fetchall()
    connection.close()
    assert killed.returncode == -9
    assert found == [(version, total)]
    verify_folder(tmp_path / "backups" / f"before-{NEWEST + 1:04}", lambda report: None)
