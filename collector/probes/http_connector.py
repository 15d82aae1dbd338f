"""An aiohttp connector that notes when each phase of a connection was over."""

import time
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import BaseConnector, ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

from collector.model.observation import Observation
from collector.probes.connect import connect, secure
from collector.probes.tools import ProbeTools
from common.probe_settings import HttpProbe


class TimedHandler(ResponseHandler):
    """Knows when the first byte of the answer came."""

    first_byte_at: float | None = None

    def data_received(self, data: bytes) -> None:
        if self.first_byte_at is None:
            self.first_byte_at = time.perf_counter()
        super().data_received(data)


@dataclass(slots=True)
class Hop:
    """One request of a probe; the connector fills in the protocol and when it was ready."""

    probe: HttpProbe
    seen: Observation
    is_first: bool
    handler: TimedHandler | None = None
    ready_at: float = 0.0


# aiohttp hands a connector the request but nothing of the caller's; a task is one probe's.
CURRENT_HOP: ContextVar[Hop] = ContextVar("CURRENT_HOP")


class ProbeConnector(BaseConnector):
    """A new connection for every request: what is not paid for cannot be measured."""

    def __init__(self, tools: ProbeTools) -> None:
        super().__init__(force_close=True, limit=0)
        self._tools = tools

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> ResponseHandler:
        hop = CURRENT_HOP.get()
        host, port = req.url.host or "", req.url.port or 0
        sock = await connect(self._tools, host, port, hop.probe.ip, hop.seen)
        if req.is_ssl():
            options = hop.probe.tls
            if not hop.is_first:
                # The configured name is the target's, not that of wherever it redirects to.
                options = options.model_copy(update={"server_name": None})
            _, handler = await secure(self._new_handler, sock, host, options, hop.seen)
        else:
            _, handler = await self._loop.create_connection(self._new_handler, sock=sock)
        hop.handler, hop.ready_at = handler, time.perf_counter()
        return handler

    def _new_handler(self) -> TimedHandler:
        return TimedHandler(self._loop)
