"""An aiohttp connector that notes when each phase of a connection was over."""

import time
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import BaseConnector, ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

from collector.model.observation import Observation, Phases
from collector.probes.connect import connect, dial_socket, secure
from collector.probes.tools import ProbeTools
from common.probe_settings import HttpProbe

ALPN = ("http/1.1",)


class TimedHandler(ResponseHandler):
    """Adds to the processing phase when the first byte of the answer comes."""

    ready_at = 0.0
    first_byte_at = 0.0
    phases: Phases | None = None

    def data_received(self, data: bytes) -> None:
        if self.phases is not None and not self.first_byte_at:
            self.first_byte_at = time.perf_counter()
            waited = self.first_byte_at - self.ready_at
            self.phases.processing = (self.phases.processing or 0.0) + waited
        super().data_received(data)

    def is_ready(self, phases: Phases) -> None:
        """The connection stands; from now on time is the server's."""
        self.phases = phases
        self.ready_at = time.perf_counter()

    def close(self) -> None:
        # Nothing is left to say, and a polite end of TLS would wait for a server that may be gone.
        self.abort()


@dataclass(slots=True)
class Hop:
    """One request of a probe; the connector fills in the protocol."""

    probe: HttpProbe
    host: str | None
    seen: Observation
    handler: TimedHandler | None = None


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
        address = (req.url.host or "", req.url.port or 0)
        dial = self._dial_tls if req.is_ssl() else self._dial
        hop.handler = await dial(address, hop)
        hop.handler.is_ready(hop.seen.phases)
        return hop.handler

    async def _dial(self, address: tuple[str, int], hop: Hop) -> TimedHandler:
        async def dial(ip: str, port: int) -> TimedHandler:
            _, handler = await self._loop.create_connection(self._new_handler, ip, port)
            return handler

        return await connect(self._tools, address, hop.probe.ip, hop.seen, dial)

    async def _dial_tls(self, address: tuple[str, int], hop: Hop) -> TimedHandler:
        options = hop.probe.tls
        if options.server_name and address[0] != hop.host:
            # The configured name is the target's, not that of wherever it redirects to.
            options = options.model_copy(update={"server_name": None})
        sock = await connect(self._tools, address, hop.probe.ip, hop.seen, dial_socket)
        _, handler = await secure(self._new_handler, sock, address, options, hop.seen, ALPN)
        return handler

    def _new_handler(self) -> TimedHandler:
        return TimedHandler(self._loop)
