"""What tests of the real thing share."""

from pathlib import Path

import pytest

from tests.e2e.test_collector_process import write_config
from tests.servers.ports import free_ports


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def config(tmp_path: Path, port: int) -> Path:
    return write_config(tmp_path, port)
