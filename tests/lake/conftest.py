"""Lakes on a real PostgreSQL, with data on disk and on an S3 emulator."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collector.store.lake import Lake
from collector.store.store import Store, open_store
from common.settings import OtelSettings
from common.store_settings import LakeCatalogue, LakeSettings
from common.telemetry import Telemetry, start
from tests.servers.postgres import Postgres, running_postgres
from tests.servers.s3 import BUCKET, running_s3

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with running_postgres(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator with a bucket; the keys are in the environment."""
    os.environ |= {"LAKE_KEY_ID": "any", "LAKE_SECRET": "thing"}
    with running_s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def lake(postgres: Postgres, tmp_path: Path) -> Lake:
    """Empty, with its files on disk."""
    return on_disk(postgres, tmp_path)


def on_disk(postgres: Postgres, folder: Path) -> Lake:
    return _lake(postgres, {"data_path": str(folder / "lake")})


def on_s3(postgres: Postgres, s3: str) -> Lake:
    keys = {"key_id": "env:LAKE_KEY_ID", "secret": "env:LAKE_SECRET"}
    path = f"s3://{BUCKET}/{next(NUMBERS)}"
    return _lake(postgres, {"data_path": path, "s3": {"endpoint": s3, **keys}})


def _lake(postgres: Postgres, settings: dict[str, object]) -> Lake:
    catalogue = LakeCatalogue(postgres.create(f"lake{next(NUMBERS)}"))
    return Lake(catalogue, LakeSettings.model_validate(settings))


def telemetry() -> Telemetry:
    return start(OtelSettings(), service="test", version="0", environment="development")


@pytest.fixture
async def store(lake: Lake) -> AsyncIterator[Store]:
    async with open_store(lake, telemetry()) as opened:
        yield opened


@pytest.fixture
async def other(lake: Lake, store: Store) -> AsyncIterator[Store]:
    """Another collector's store on the same lake."""
    async with open_store(lake, telemetry()) as opened:
        yield opened
