"""A DNS server on loopback with one zone, over UDP and TCP (dnspython builds the messages)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
    ("shop.example.", "TXT"): ['"v=spf1 " "include:\\"us\\" -all"'],
    ("shop.example.", "NS"): ["ns1.shop.example.", "ns2.shop.example."],
    ("long.example.", "TXT"): [f'"{"x" * 200}{number}"' for number in range(9)],
    ("loopback.example.", "A"): ["127.0.0.1"],
}
NAMES = {name for name, _ in ZONE}
SILENT, GARBAGE, STRANGER = "silent.example.", "garbage.example.", "stranger.example."
RCODES = {"refused.example.": dns.rcode.REFUSED, "broken.example.": dns.rcode.SERVFAIL}


@dataclass(slots=True)
class DnsServer:
    """Attributes:
    address: "host:port", the same for UDP and TCP.
    asked: what was asked for, in order ("shop.example. A").
    """

    address: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        """The reply to one query; None says nothing."""
        query = dns.message.from_wire(wire)
        [question] = query.question
        name, kind = question.name.to_text().lower(), question.rdtype.name
        self.asked.append(f"{name} {kind}")
        if name == SILENT:
            return None
        if name == GARBAGE:
            return wire[:2] + b"\xff" * 20
        response = dns.message.make_response(query)
        if name == STRANGER:
            response.id ^= 1
        elif name not in NAMES:
            response.set_rcode(RCODES.get(name, dns.rcode.NXDOMAIN))
        elif records := ZONE.get((name, kind)):
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        reply = response.to_wire(max_size=65535)
        if not over_tcp and len(reply) > 512:
            response.answer.clear()
            response.flags |= dns.flags.TC
            reply = response.to_wire()
        return reply

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = int.from_bytes(await reader.readexactly(2), "big")
            if reply := self.answer(await reader.readexactly(length), over_tcp=True):
                writer.write(len(reply).to_bytes(2, "big") + reply)
            else:
                await reader.read()
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


class UdpServer(asyncio.DatagramProtocol):
    """Answers datagrams with what `server` says."""

    transport: asyncio.DatagramTransport

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if reply := self._server.answer(data, over_tcp=False):
            self.transport.sendto(reply, addr)


@asynccontextmanager
async def dns_server(host: str = "127.0.0.1") -> AsyncIterator[DnsServer]:
    """A running server."""
    server = DnsServer()
    tcp = await asyncio.start_server(server.serve_tcp, host, 0)
    port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpServer(server), local_addr=(host, port)
    )
    server.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
