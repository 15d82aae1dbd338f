"""TCP: does the port accept, and does it say what it should?"""

import asyncio
import time

from collector.model.observation import Observation, ProbeFailure
from collector.probes.certificate import check_lifetime
from collector.probes.connect import connect, dial_socket, failure, secure
from collector.probes.expectation import check_latency, pattern, shown
from collector.probes.tools import ProbeTools
from common.probe_settings import TcpProbe, host_port

MAX_BANNER_BYTES = 4096


class TcpProber:
    """Connects, speaks TLS and sends something where configured, and waits for a banner."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: TcpProbe, seen: Observation) -> None:
        started = time.perf_counter()
        reader, transport = await self._open(probe, seen)
        try:
            await _converse(probe, transport, reader, seen)
        except OSError as error:
            raise failure(error, probe.target) from None
        finally:
            transport.abort()
        if seen.tls is not None:
            check_lifetime(seen.tls, probe.expect.certificate_seconds)
        check_latency(started, probe.expect.latency_seconds)

    async def _open(
        self, probe: TcpProbe, seen: Observation
    ) -> tuple[asyncio.StreamReader, asyncio.Transport]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        address = host_port(probe.target)

        def make_protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(reader, loop=loop)

        async def dial(ip: str, port: int) -> asyncio.Transport:
            transport, _ = await loop.create_connection(make_protocol, ip, port)
            return transport

        if not probe.starts_tls:
            return reader, await connect(self._tools, address, probe.ip, seen, dial)
        sock = await connect(self._tools, address, probe.ip, seen, dial_socket)
        transport, _ = await secure(make_protocol, sock, address, probe.tls, seen)
        return reader, transport


async def _converse(
    probe: TcpProbe, transport: asyncio.Transport, reader: asyncio.StreamReader, seen: Observation
) -> None:
    ready_at = time.perf_counter()
    if probe.send:
        transport.write(probe.send.encode())
    if probe.expect.banner is None:
        return
    wanted = pattern(probe.expect.banner)
    received = b""
    while not wanted.search(received.decode("utf-8", "replace")):
        chunk = await reader.read(MAX_BANNER_BYTES - len(received))
        received += chunk
        seen.banner = received.decode("utf-8", "replace")
        if not chunk:
            seen.failed_due_to_regex = True
            detail = f"expected a banner like {probe.expect.banner!r}, got {shown(seen.banner)}"
            raise ProbeFailure("banner", detail)
    seen.phases.processing = time.perf_counter() - ready_at
