"""ICMP echo: unprivileged where the kernel permits, raw where we may, else a clear answer."""

import asyncio
import socket
import sys
import time

from icmplib import ICMPReply, ICMPRequest, ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import ICMPLibError, SocketPermissionError
from icmplib.sockets import ICMPSocket
from icmplib.utils import unique_identifier

from collector.model.observation import IcmpFacts, Observation, ProbeFailure
from collector.probes.connect import failure
from collector.probes.expectation import check_latency
from collector.probes.tools import ProbeTools
from common.probe_settings import IcmpProbe

NOT_PERMITTED = (
    "this user may not send ICMP: put its group into the sysctl net.ipv4.ping_group_range,"
    " or give the process CAP_NET_RAW"
)
PACKET_BYTES = 2048
ANCILLARY_BYTES = 128
IP_RECVTTL = 12  # linux/in.h; Python names it since 3.14


class IcmpProber:
    """One echo request, one reply."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: IcmpProbe, seen: Observation) -> None:
        started = time.perf_counter()
        address = (await self._tools.resolver.lookup(probe.target, probe.ip, seen))[0]
        opening = time.perf_counter()
        with _open(address) as sock:
            sent_at = time.perf_counter()
            seen.phases.connect = sent_at - opening
            try:
                reply, hop_limit = await _echo(sock, address, probe.payload_bytes)
                seen.phases.processing = time.perf_counter() - sent_at
                reply.raise_for_status()
            except ICMPLibError as error:
                raise ProbeFailure("unreachable", f"{address}: {error}") from None
            except OSError as error:
                raise failure(error, address) from None
        seen.icmp = IcmpFacts(hop_limit=hop_limit)
        check_latency(started, probe.expect.latency_seconds)


def _open(address: str) -> ICMPSocket:
    kind = ICMPv6Socket if ":" in address else ICMPv4Socket
    problems = []
    for privileged in (False, True):
        try:
            sock = kind(privileged=privileged)
        except ICMPLibError as error:
            problems.append(error)
        else:
            sock.blocking = False
            _ask_for_hop_limit(sock.sock)
            return sock
    if any(isinstance(problem, SocketPermissionError) for problem in problems):
        raise ProbeFailure("permission", NOT_PERMITTED)
    raise ProbeFailure("connect", f"no ICMP socket: {problems[0]}")


def _ask_for_hop_limit(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)


async def _echo(sock: ICMPSocket, address: str, payload_bytes: int) -> tuple[ICMPReply, int | None]:
    """The answer to one request, and its hop limit.

    icmplib's own way of waiting drops the hop limit.
    """
    request = ICMPRequest(
        destination=address, id=unique_identifier(), sequence=0, payload_size=payload_bytes
    )
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sock.sock, arrived.set)
    try:
        sock.send(request)
        while True:
            await arrived.wait()
            arrived.clear()
            if (answer := _receive(sock)) and _answers(answer[0], request):
                return answer
    finally:
        loop.remove_reader(sock.sock)


def _receive(sock: ICMPSocket) -> tuple[ICMPReply, int | None] | None:
    try:
        packet, ancillary, _, source = sock.sock.recvmsg(PACKET_BYTES, ANCILLARY_BYTES)
    except BlockingIOError:
        return None
    reply = sock._parse_reply(packet=packet, source=source[0], current_time=time.time())
    hop_limits = [int.from_bytes(value[:4], sys.byteorder) for _, _, value in ancillary]
    return (reply, next(iter(hop_limits), None)) if reply else None


def _answers(reply: ICMPReply, request: ICMPRequest) -> bool:
    return bool(reply.id == request.id and reply.sequence == request.sequence)
