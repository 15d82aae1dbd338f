"""A store that is encrypted on disk: file, log and spilled temporary files, by DuckDB itself.

DuckDB reads encrypted files by itself, and writes them with the OpenSSL in its httpfs extension.
Nothing is ever downloaded for it: the extension is there, or the start is refused.
"""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from pydantic import SecretStr

from collector.errors import StoreError
from collector.store.database import Database
from collector.store.db import CONFIG, explain, make_folder, quoted

NAME = "monitor"
USE = f"USE {NAME}"
EXTENSION = "httpfs"
# DuckDB's own words where no OpenSSL is loaded.
NO_OPENSSL = "crypto module"


class EncryptedDatabase(Database):
    """As a plain one is used. The key never shows in an error."""

    own_settings = ("schema", "search_path")

    def __init__(self, path: Path, key: SecretStr | None, fresh_key: SecretStr | None) -> None:
        """`key` opens the file, `fresh_key` is that of files beside it; None: not encrypted."""
        self._key = key
        self._fresh_key = fresh_key
        super().__init__(path)

    @contextmanager
    def use(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with super().use() as cursor:
            # A cursor begins in the database that was connected to, which is empty.
            cursor.execute(USE)
            yield cursor

    def attach(self, connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
        _attach(connection, path, name, self._fresh_key)

    def use_fresh_key(self) -> None:
        """A file from beside has taken the place of this one."""
        self._key = self._fresh_key

    def _open(self) -> duckdb.DuckDBPyConnection:
        make_folder(self.path)
        connection = duckdb.connect(":memory:", config=_config(self.path))
        try:
            _load_openssl(connection)
            _attach(connection, self.path, NAME, self._key)
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
        except BaseException:
            connection.close()
            raise
        return connection


def database_at(path: Path, key: SecretStr | None) -> Database:
    """Open the store at `path`, encrypted when there is a key. Raises StoreError; blocks."""
    return Database(path) if key is None else EncryptedDatabase(path, key, key)


def _config(path: Path) -> dict[str, str | bool | int | float | list[str]]:
    return CONFIG | {
        "autoinstall_known_extensions": False,
        "temp_directory": f"{path}.tmp",
        "temp_file_encryption": True,
    }


def _load_openssl(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        from duckdb_extensions import import_extension

        import_extension(EXTENSION)
    except (ImportError, duckdb.Error):
        # No wheel for this DuckDB; it may have been installed by DuckDB itself.
        pass
    try:
        connection.execute(f"LOAD {EXTENSION}")
    except duckdb.Error:
        raise missing_openssl() from None


def missing_openssl() -> StoreError:
    install = f"{shlex.quote(sys.executable)} -c \"import duckdb; duckdb.sql('INSTALL httpfs')\""
    return StoreError(
        "collector.encryption_key",
        why=f"DuckDB {duckdb.__version__} writes encrypted files only with the OpenSSL of its "
        f"{EXTENSION} extension, which is not installed",
        remedy=f"install it once, with access to the internet: {install}; or, without, use "
        "duckdb==1.5.5 with duckdb-extensions and duckdb-extension-httpfs from PyPI",
    )


def _attach(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, key: SecretStr | None
) -> None:
    option = ""
    if key is not None:
        secret = key.get_secret_value().replace("'", "''")
        option = f" (ENCRYPTION_KEY '{secret}')"
    try:
        connection.execute(f"ATTACH '{quoted(path)}' AS {name}{option}")
    except duckdb.Error as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: duckdb.Error) -> StoreError:
    text = str(error)
    if NO_OPENSSL in text:
        return missing_openssl()
    if "Wrong encryption key" in text:
        return StoreError(
            str(path),
            why="collector.encryption_key is not the key that it was encrypted with",
            remedy="give the right key; without it nobody can read the store",
        )
    if "is not encrypted" in text:
        return StoreError(
            str(path),
            why="it is not encrypted, and collector.encryption_key is set",
            remedy="encrypt it once with dhmon compact --encrypt, or unset the key",
        )
    return explain(path, error)
