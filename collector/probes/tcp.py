"""TCP: does the port accept, and does it say what it should?"""

import asyncio
import re
import time

from collector.model.observation import Observation, ProbeFailure
from collector.probes.certificate import check_lifetime
from collector.probes.connect import connect, failure, secure
from collector.probes.expectation import check_latency, shown
from collector.probes.tools import ProbeTools
from common.probe_settings import TcpProbe, host_port

MAX_BANNER_BYTES = 4096


class TcpProber:
    """Connects, speaks TLS and sends something where configured, and waits for a banner."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: TcpProbe, seen: Observation) -> None:
        started = time.perf_counter()
        host, port = host_port(probe.target)
        sock = await connect(self._tools, host, port, probe.ip, seen)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)

        def make_protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(reader, loop=loop)

        if probe.starts_tls:
            transport, _ = await secure(make_protocol, sock, host, probe.tls, seen)
        else:
            transport, _ = await loop.create_connection(make_protocol, sock=sock)
        try:
            await _converse(probe, transport, reader, seen)
        except OSError as error:
            raise failure(error, probe.target) from None
        finally:
            transport.abort()
        if seen.tls is not None:
            check_lifetime(seen.tls, probe.expect.certificate_seconds)
        check_latency(started, probe.expect.latency_seconds)


async def _converse(
    probe: TcpProbe, transport: asyncio.Transport, reader: asyncio.StreamReader, seen: Observation
) -> None:
    ready_at = time.perf_counter()
    if probe.send:
        transport.write(probe.send.encode())
    if probe.expect.banner is None:
        return
    received = b""
    while not re.search(probe.expect.banner, received.decode("utf-8", "replace")):
        chunk = await reader.read(MAX_BANNER_BYTES)
        received += chunk
        seen.banner = received.decode("utf-8", "replace")
        if not chunk or len(received) > MAX_BANNER_BYTES:
            seen.failed_due_to_regex = True
            detail = f"expected a banner like {probe.expect.banner!r}, got {shown(seen.banner)}"
            raise ProbeFailure("banner", detail)
    seen.phases.processing = time.perf_counter() - ready_at
