"""Without the OpenSSL that DuckDB needs for it, a store is not encrypted by halves."""

import sys
from pathlib import Path

import duckdb
import pytest
from pydantic import SecretStr

from collector.errors import StoreError
from collector.store.encryption import database_at

KEY = SecretStr("a key of many characters")


def test_without_the_extension_a_start_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB looks for extensions in the home folder; in this one, and as wheels, are none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "duckdb_extensions", None)
    path = tmp_path / "monitor.duckdb"

    with pytest.raises(StoreError) as refusal:
        database_at(path, KEY)

    assert refusal.value.what == "collector.encryption_key"
    assert f"DuckDB {duckdb.__version__} writes encrypted files only with" in refusal.value.why
    assert "INSTALL httpfs" in refusal.value.remedy
    assert "duckdb-extension-httpfs" in refusal.value.remedy
    assert KEY.get_secret_value() not in str(refusal.value)
    assert not path.exists()
