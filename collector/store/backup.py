"""Backups of the store, while it is written to: incremental, checksummed, by a child process."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb
import msgspec

from collector.errors import BackupError
from collector.model.report import BackedUp, Failed, Report, Say
from collector.store.block_copy import CopyRequest
from collector.store.migrate import NEWEST

COMMAND = (sys.executable, "-m", "collector.store.block_copy")
IS_ENCRYPTED = "SELECT encrypted FROM duckdb_databases() WHERE database_name = current_database()"
HAS_SCHEMA = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'migration'"


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """Where to; `full`: write every block anew; `keep`: how many snapshots stay, None: all."""

    folder: Path
    full: bool = False
    keep: int | None = None


def prepare(
    connection: duckdb.DuckDBPyConnection, path: Path, options: BackupOptions
) -> CopyRequest:
    """Merge the log into the file, and say how to copy it."""
    connection.execute("CHECKPOINT")
    return CopyRequest(
        source=str(path),
        folder=str(options.folder.absolute()),
        dhmon_version=version("dhgate-monitor"),
        duckdb_version=duckdb.__version__,
        schema_version=schema_version(connection),
        encrypted=bool(connection.execute(IS_ENCRYPTED).fetchall()[0][0]),
        full=options.full,
        keep=options.keep,
    )


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """0 for a file without any migration."""
    [[count]] = connection.execute(HAS_SCHEMA).fetchall()
    return int(connection.execute(NEWEST).fetchall()[0][0]) if count else 0


def copy_blocking(request: CopyRequest) -> BackedUp:
    """Copy from a thread that may wait. Raises BackupError."""
    ended = subprocess.run(  # noqa: S603 - this very Python
        COMMAND, input=msgspec.json.encode(request), stdout=subprocess.PIPE, check=False
    )
    return _outcome(ended.stdout.splitlines()[-1:], ended.returncode)


async def copy_beside(request: CopyRequest, say: Say) -> None:
    """Copy, saying how far it is. Raises BackupError; cancelled, it ends the child."""
    child = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if child.stdin is None or child.stdout is None:
            raise AssertionError("both are pipes")
        child.stdin.write(msgspec.json.encode(request))
        child.stdin.close()
        last: list[bytes] = []
        async for line in child.stdout:
            if last:
                say(msgspec.json.decode(last[0], type=Report))
            last = [line]
        say(_outcome(last, await child.wait()))
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _outcome(last_line: list[bytes], exit_code: int) -> BackedUp:
    match [msgspec.json.decode(line, type=Report) for line in last_line]:
        case [BackedUp() as done]:
            return done
        case [Failed() as error]:
            raise BackupError(error.what, why=error.why, remedy=error.remedy)
        case _:
            raise BackupError(
                "the backup",
                why=f"its process ended early (exit code {exit_code})",
                remedy="see the log, and start it again: nothing is lost",
            )
