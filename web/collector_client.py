"""The collector, asked over HTTP."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
from aiohttp import ClientConnectionError, ClientError, ClientSession, ClientTimeout, DummyCookieJar
from opentelemetry import propagate, trace
from yarl import URL

from common.errors import UsageError
from common.health import CheckFailed
from common.overview import Overview
from common.service_key import service_key
from common.settings import Settings
from common.telemetry import Telemetry
from web.errors import CollectorError

TIMEOUT = ClientTimeout(total=2)
Attributes = dict[str, str | int]


class CollectorClient:
    """What the collector knows. Its methods answer or raise within two seconds."""

    def __init__(self, session: ClientSession, base: URL, telemetry: Telemetry) -> None:
        self._session = session
        self._base = base
        self._telemetry = telemetry

    async def overview(self) -> Overview:
        """Raises CollectorError."""
        body = await self._get("/api/v1/overview")
        try:
            return msgspec.json.decode(body, type=Overview)
        except msgspec.DecodeError as error:
            raise self._error(f"gave an answer that cannot be read ({error})") from error

    async def check(self) -> str:
        """Where it answers. Raises CheckFailed."""
        try:
            await self._get("/healthz")
        except CollectorError as error:
            raise CheckFailed(str(error)) from None
        return f"answers at {self._base}"

    async def _get(self, path: str) -> bytes:
        headers: dict[str, str] = {}
        with self._measured("GET") as attributes:
            if self._telemetry.enabled:
                propagate.inject(headers)
            try:
                async with self._session.get(self._base / path[1:], headers=headers) as response:
                    attributes["http.response.status_code"] = response.status
                    body = await response.read()
            except (ClientError, TimeoutError) as error:
                attributes["error.type"] = type(error).__name__
                raise self._error(_spelled(error)) from error
            if response.status != 200:
                attributes["error.type"] = str(response.status)
                raise self._error(f"answered with status {response.status}")
        return body

    @contextmanager
    def _measured(self, method: str) -> Iterator[Attributes]:
        """A span and a duration; what is learnt on the way goes into the attributes."""
        attributes: Attributes = {
            "http.request.method": method,
            "server.address": self._base.host or "",
            "server.port": self._base.port or 0,
        }
        with self._telemetry.tracer.start_as_current_span(
            method, kind=trace.SpanKind.CLIENT, record_exception=False
        ) as span:
            started = time.perf_counter()
            try:
                yield attributes
            finally:
                self._telemetry.http_client.record(time.perf_counter() - started, attributes)
                span.set_attributes(attributes)

    def _error(self, why: str) -> CollectorError:
        return CollectorError(
            f"the collector at {self._base}",
            why=why,
            remedy="see that it runs there and that both have the same service key",
        )


@asynccontextmanager
async def open_collector(
    settings: Settings, telemetry: Telemetry
) -> AsyncIterator[CollectorClient]:
    """Raises UsageError when the address is none."""
    async with ClientSession(
        timeout=TIMEOUT,
        cookie_jar=DummyCookieJar(),
        headers={"Authorization": f"Bearer {service_key(settings)}"},
    ) as session:
        yield CollectorClient(session, _base(settings.collector_url), telemetry)


def _spelled(error: ClientError | TimeoutError) -> str:
    match error:
        case TimeoutError():
            return f"gave no answer within {TIMEOUT.total:g} s"
        case ClientConnectionError():
            return "cannot be reached"
        case _:
            return "gave an answer that is not HTTP"


def _base(address: str) -> URL:
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(
            f"web.collector_url = {address}",
            why="it is not an HTTP address",
            remedy='write it like "http://127.0.0.1:8090"',
        )
    return url
