"""What no query of this process may do, whoever wrote it: a wall behind the sandbox."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

# A query that outgrows its memory spills beside the database, up to here.
MAX_SPILLED_BYTES = 1_000_000_000
NO_SECRETS = "SET GLOBAL allow_persistent_secrets = false"
STEPS = (
    "SET GLOBAL TimeZone = 'UTC'",
    f"SET GLOBAL max_temp_directory_size = '{MAX_SPILLED_BYTES} bytes'",
    "SET GLOBAL autoinstall_known_extensions = false",
    "SET GLOBAL autoload_known_extensions = false",
    "SET GLOBAL allow_community_extensions = false",
    "SET GLOBAL python_enable_replacements = false",
    "SET GLOBAL python_scan_all_frames = false",
    "SET GLOBAL enable_external_access = false",
    "SET GLOBAL lock_configuration = true",
)


def lock_down(
    connection: duckdb.DuckDBPyConnection,
    allowed: Sequence[Path | str],
    *,
    settings: Sequence[str] = (),
    has_secrets: bool = False,
) -> None:
    """No file outside `allowed`, no network, no extension, and none of this can be undone.

    It holds for every connection to this database in this process. `settings` are names that may
    be set afterwards all the same. Tables that are registered by name can still be read.
    `has_secrets`: it uses some, and NO_SECRETS cannot be set any more.
    Raises duckdb.Error.
    """
    connection.execute(f"SET GLOBAL allowed_directories = {_list(map(str, allowed))}")
    connection.execute(f"SET GLOBAL allowed_configs = {_list(settings)}")
    for step in STEPS if has_secrets else (NO_SECRETS, *STEPS):
        connection.execute(step)


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"
