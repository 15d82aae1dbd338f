"""A collector with its real store, and a client that may ask everything."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.app import Reload, create_app
from common.service_key import service_key
from common.settings import load
from common.telemetry import Telemetry

Asker = TestClient[web.Request, web.Application]


@pytest.fixture
async def asker(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Asker]:
    config = tmp_path / "monitor.toml"
    config.write_text(f'[collector]\ndata = "{tmp_path}/data/monitor.duckdb"\n')
    settings = load(config)
    app = create_app(settings, telemetry, version="0", reload=Reload())
    headers = {"Authorization": f"Bearer {service_key(settings)}"}
    async with TestClient(TestServer(app), headers=headers) as client:
        yield client
