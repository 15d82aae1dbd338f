"""What tests of several packages share."""

import importlib.util
from collections.abc import Iterator

import pytest

from tests.servers.stack import Stack, running_stack

# They need the other DuckDB: `make test` runs them in .venv-lake.
collect_ignore = [] if importlib.util.find_spec("duckdb_extension_ducklake") else ["lake"]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector, Prometheus and Alertmanager at work; made once, only read by tests."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
