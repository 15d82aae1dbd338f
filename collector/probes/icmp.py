"""ICMP echo: unprivileged where the kernel permits, raw where we may, else a clear answer."""

import time

from icmplib import AsyncSocket, ICMPRequest, ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import ICMPLibError, SocketPermissionError
from icmplib.utils import unique_identifier

from collector.model.observation import IcmpFacts, Observation, ProbeFailure
from collector.probes.expectation import check_latency
from collector.probes.tools import ProbeTools
from common.probe_settings import IcmpProbe

NOT_PERMITTED = (
    "this user may not send ICMP: put its group into the sysctl net.ipv4.ping_group_range,"
    " or give the process CAP_NET_RAW"
)


class IcmpProber:
    """One echo request, one reply."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: IcmpProbe, seen: Observation) -> None:
        started = time.perf_counter()
        address = (await self._tools.resolver.lookup(probe.target, probe.ip, seen))[0]
        opening = time.perf_counter()
        with AsyncSocket(_open(address)) as sock:
            request = ICMPRequest(
                destination=address,
                id=unique_identifier(),
                sequence=0,
                payload_size=probe.payload_bytes,
            )
            sent_at = time.perf_counter()
            seen.phases.connect = sent_at - opening
            try:
                sock.send(request)
                reply = await sock.receive(request, timeout=probe.timeout_seconds)
                reply.raise_for_status()
            except ICMPLibError as error:
                raise ProbeFailure("unreachable", f"{address}: {error}") from None
            seen.phases.processing = time.perf_counter() - sent_at
        # icmplib does not pass on the hop limit of a reply.
        seen.icmp = IcmpFacts(hop_limit=None)
        check_latency(started, probe.expect.latency_seconds)


def _open(address: str) -> ICMPv4Socket | ICMPv6Socket:
    kind = ICMPv6Socket if ":" in address else ICMPv4Socket
    for privileged in (False, True):
        try:
            return kind(privileged=privileged)
        except SocketPermissionError:
            continue
        except ICMPLibError as error:
            raise ProbeFailure("connect", f"no ICMP socket: {error}") from None
    raise ProbeFailure("permission", NOT_PERMITTED)
