"""TLS: the certificate of a port, whatever speaks behind it."""

import asyncio
import time

from collector.model.observation import Observation
from collector.probes.certificate import check_lifetime
from collector.probes.connect import connect, dial_socket, secure
from collector.probes.expectation import check_latency
from collector.probes.tools import ProbeTools
from common.probe_settings import TlsProbe, host_port


class TlsProber:
    """Shakes hands and hangs up."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: TlsProbe, seen: Observation) -> None:
        started = time.perf_counter()
        address = host_port(probe.target)
        sock = await connect(self._tools, address, probe.ip, seen, dial_socket)
        transport, _ = await secure(asyncio.Protocol, sock, address, probe.tls, seen)
        transport.abort()
        if seen.tls is not None:
            check_lifetime(seen.tls, probe.expect.certificate_seconds)
        check_latency(started, probe.expect.latency_seconds)
