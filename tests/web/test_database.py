"""The users database: migrated once, by one process at a time, and never backwards."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import DhmonError
from web.db import check_database, open_database
from web.users.queries import users

OPEN = """
import asyncio, sys
from web.db import open_database
async def main():
    async with open_database(sys.argv[1]):
        pass
asyncio.run(main())
"""


def open_to_others(folder: Path) -> dict[str, int]:
    """The files of a database, each with what other users may do to it."""
    return {path.name: path.stat().st_mode & 0o077 for path in folder.glob("web.db*")}


def address(folder: Path) -> str:
    return f"sqlite:///{folder}/data/web.db"


async def test_a_fresh_database_is_made_and_a_second_start_finds_it(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_database(address(tmp_path)) as database:
            assert await users(database) == []
            assert await check_database(database) == "sqlite"


async def test_only_its_owner_reads_it_whoever_made_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)

    async with open_database(address(tmp_path)) as database:
        await users(database)
        modes = open_to_others(tmp_path / "data")

    assert [modes[f"web.db{end}"] for end in ("", "-shm", "-wal")] == [0, 0, 0]


async def test_processes_that_start_at_once_do_not_collide(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, address(tmp_path)]
    starting = [
        await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE) for _ in range(4)
    ]

    outcomes = await asyncio.gather(*(process.communicate() for process in starting))

    assert [process.returncode for process in starting] == [0] * 4, outcomes


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    async with open_database(address(tmp_path)):
        pass
    with sqlite3.connect(tmp_path / "data" / "web.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    with pytest.raises(DhmonError, match=r"newer dhgate-monitor .* install that version"):
        async with open_database(address(tmp_path)):
            pass


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "web.db").write_bytes(b"hello" * 1000)

    with pytest.raises(DhmonError, match="it cannot be opened"):
        async with open_database(address(tmp_path)):
            pass
