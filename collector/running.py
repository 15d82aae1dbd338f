"""The running collector, asked from a terminal."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from aiohttp import ClientConnectionError, ClientError, ClientSession, ClientTimeout

from collector.errors import StoreError
from collector.model.report import Failed, Report, Say
from common.errors import DhmonError
from common.service_key import service_key
from common.settings import Settings

# Each line comes within a second or so; a collector that says nothing for this long hangs.
TIMEOUT = ClientTimeout(total=None, sock_connect=2, sock_read=60)
LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RunningCollector:
    session: ClientSession
    url: str

    async def follow(self, path: str, body: dict[str, object], say: Say) -> None:
        """Have work done and say its reports. Raises DhmonError with the collector's own words."""
        try:
            async with self.session.post(f"{self.url}{path}", json=body) as response:
                if response.status != 200:
                    raise self._error(_detail(await response.read(), response.status))
                await self._read(response.content, say)
        except (ClientError, TimeoutError) as error:
            raise self._error(f"the connection was lost ({type(error).__name__})") from error

    async def _read(self, lines: AsyncIterable[bytes], say: Say) -> None:
        report: Report | None = None
        async for line in lines:
            report = msgspec.json.decode(line, type=Report)
            if isinstance(report, Failed):
                raise DhmonError(report.what, why=report.why, remedy=report.remedy)
            say(report)
        if report is None:
            raise self._error("it ended without a word")

    def _error(self, why: str) -> StoreError:
        return StoreError(
            f"the collector at {self.url}", why=why, remedy="see its log, and try again"
        )


@asynccontextmanager
async def running_collector(settings: Settings) -> AsyncIterator[RunningCollector | None]:
    """None when nobody listens where the collector should."""
    headers = {"Authorization": f"Bearer {service_key(settings)}"}
    url = settings.collector_url.rstrip("/")
    async with ClientSession(timeout=TIMEOUT, headers=headers, read_bufsize=LIMIT_BYTES) as session:
        try:
            async with session.get(f"{url}/healthz") as response:
                await response.read()
        except ClientConnectionError:
            yield None
        else:
            yield RunningCollector(session, url)


def _detail(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"it answered with status {status}"
