"""A DNS server on loopback with one zone, over UDP and TCP (dnspython builds the messages)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

ZONE = {
    ("shop.example.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("shop.example.", "AAAA"): ["2001:db8::1"],
    ("www.shop.example.", "CNAME"): ["Shop.Example."],
    ("shop.example.", "MX"): ["10 mail.shop.example."],
    ("shop.example.", "TXT"): ['"v=spf1 -all"'],
    ("shop.example.", "NS"): ["ns1.shop.example.", "ns2.shop.example."],
    ("long.example.", "TXT"): [f'"{"x" * 200}{number}"' for number in range(9)],
}
NAMES = {name for name, _ in ZONE}
SILENT, GARBAGE, REFUSING = "silent.example.", "garbage.example.", "refused.example."


def answer(wire: bytes, *, over_tcp: bool) -> bytes | None:
    """The reply to one query; None says nothing."""
    query = dns.message.from_wire(wire)
    [question] = query.question
    name = question.name.to_text().lower()
    if name == SILENT:
        return None
    if name == GARBAGE:
        return wire[:2] + b"\xff" * 20
    response = dns.message.make_response(query)
    kind = question.rdtype.name
    if name == REFUSING:
        response.set_rcode(dns.rcode.REFUSED)
    elif name not in NAMES:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif records := ZONE.get((name, kind)):
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    reply = response.to_wire(max_size=65535)
    if not over_tcp and len(reply) > 512:
        response.answer.clear()
        response.flags |= dns.flags.TC
        reply = response.to_wire()
    return reply


class UdpServer(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if reply := answer(data, over_tcp=False):
            self.transport.sendto(reply, addr)


async def _serve_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        length = int.from_bytes(await reader.readexactly(2), "big")
        if reply := answer(await reader.readexactly(length), over_tcp=True):
            writer.write(len(reply).to_bytes(2, "big") + reply)
    except asyncio.IncompleteReadError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def dns_server() -> AsyncIterator[str]:
    """The server's "host:port", the same for UDP and TCP."""
    tcp = await asyncio.start_server(_serve_tcp, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        UdpServer, local_addr=("127.0.0.1", port)
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        udp.close()
        tcp.close()
