"""The collector, asked over HTTP."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode
from yarl import URL

from common.errors import DhmonError
from common.overview import Overview
from common.service_key import service_key
from common.settings import Settings
from common.telemetry import Telemetry

TIMEOUT = ClientTimeout(total=2)


class CollectorError(DhmonError):
    """The collector does not answer, or not with what was asked for."""


class CollectorClient:
    """One session for the program's life."""

    def __init__(self, session: ClientSession, base: URL, key: str, telemetry: Telemetry) -> None:
        self._session = session
        self._base = base
        self._authorization = {"Authorization": f"Bearer {key}"}
        self._telemetry = telemetry

    async def overview(self) -> Overview:
        """Raises CollectorError."""
        body = await self._get("/api/v1/overview")
        try:
            return msgspec.json.decode(body, type=Overview)
        except msgspec.DecodeError as error:
            raise self._error(f"its answer cannot be read: {error}") from error

    async def is_alive(self) -> str:
        """Where it answers. Raises CollectorError."""
        await self._get("/healthz")
        return f"answers at {self._base}"

    async def _get(self, path: str) -> bytes:
        attributes: dict[str, str | int] = {
            "http.request.method": "GET",
            "server.address": self._base.host or "",
            "server.port": self._base.port or 0,
        }
        started = time.perf_counter()
        with self._telemetry.tracer.start_as_current_span(
            "GET", kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            try:
                status, body = await self._request(path)
                attributes["http.response.status_code"] = status
            except (ClientError, TimeoutError) as error:
                attributes["error.type"] = type(error).__name__
                span.set_status(StatusCode.ERROR)
                raise self._error("it does not answer") from error
            finally:
                seconds = time.perf_counter() - started
                self._telemetry.http_client.record(seconds, attributes)
        if status != 200:
            raise self._error(f"it answers with status {status}")
        return body

    async def _request(self, path: str) -> tuple[int, bytes]:
        headers = dict(self._authorization)
        if self._telemetry.enabled:
            propagate.inject(headers)
        async with self._session.get(self._base.with_path(path), headers=headers) as response:
            return response.status, await response.read()

    def _error(self, why: str) -> CollectorError:
        return CollectorError(
            f"the collector at {self._base}", why=why, remedy="start it with `dhmon collector`"
        )


@asynccontextmanager
async def open_collector(
    settings: Settings, telemetry: Telemetry
) -> AsyncIterator[CollectorClient]:
    async with ClientSession(timeout=TIMEOUT, cookie_jar=DummyCookieJar()) as session:
        base = URL(settings.collector_url)
        yield CollectorClient(session, base, service_key(settings), telemetry)
