"""A real nginx, real certificates, and probers to look at them, on both kinds of event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from pydantic import TypeAdapter

from collector.app import probers
from collector.model.observation import Observation, ProbeFailure
from collector.probes.http import open_http_prober
from collector.probes.tools import open_tools
from common.probe_settings import Probe
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.nginx import Nginx, running_nginx


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a target: why it failed, if it did, and what was seen."""

    failure: ProbeFailure | None
    seen: Observation

    @property
    def reason(self) -> str | None:
        return self.failure.reason if self.failure else None

    @property
    def detail(self) -> str:
        return self.failure.detail if self.failure else ""


LookAt = Callable[..., Awaitable[Look]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
PROBE: TypeAdapter[Probe] = TypeAdapter(Probe)


def pytest_asyncio_loop_factories() -> dict[str, LoopFactory]:
    """Production runs on uvloop; what only works there, or only here, is not understood."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Nginx]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    with running_nginx(folder, certificates) as ports:
        yield ports


@pytest.fixture
async def look() -> AsyncIterator[LookAt]:
    """`await look("http", "http://…", expect={…})`: the outcome of one look, as the runner has
    it."""
    async with open_tools() as tools, open_http_prober(tools) as http:
        table = probers(tools, http)

        async def look_at(kind: str, target: str, **settings: object) -> Look:
            probe = PROBE.validate_python({"name": "x", "type": kind, "target": target, **settings})
            seen = Observation()
            try:
                async with asyncio.timeout(probe.timeout_seconds):
                    await table[kind](probe, seen)
            except ProbeFailure as failure:
                return Look(failure, seen)
            except TimeoutError:
                return Look(ProbeFailure("timeout", "no answer in time"), seen)
            return Look(None, seen)

        yield look_at
