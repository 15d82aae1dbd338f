"""DNS: is the name answered, and with what?"""

import socket
import time
from ipaddress import ip_address

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from collector.model.observation import DnsFacts, Observation, ProbeFailure
from collector.probes.connect import failure
from collector.probes.expectation import check_latency, shortened
from collector.probes.resolve import IpVersion, UnresolvedError
from collector.probes.tools import ProbeTools
from common.probe_settings import DnsProbe, server_address

PORT = 53


class DnsProber:
    """Asks the configured server; without one, addresses are looked up as this machine does."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: DnsProbe, seen: Observation) -> None:
        started = time.perf_counter()
        if probe.server is None and probe.record in ("A", "AAAA"):
            facts = await self._ask_as_this_machine(probe, seen)
        else:
            facts = await self._ask_server(probe, seen)
        seen.dns = facts
        _check(probe, facts)
        check_latency(started, probe.expect.latency_seconds)

    async def _ask_as_this_machine(self, probe: DnsProbe, seen: Observation) -> DnsFacts:
        """The hosts file and the configured servers; the whole of it is the request."""
        asked_at = time.perf_counter()
        try:
            version: IpVersion = "4" if probe.record == "A" else "6"
            addresses = await self._tools.resolver.ask(probe.target, version)
            rcode = "NOERROR"
        except UnresolvedError as error:
            if error.rcode is None:
                raise
            addresses, rcode = [], error.rcode
        seen.phases.processing = time.perf_counter() - asked_at
        answers = tuple(dict.fromkeys(addresses))
        return DnsFacts(
            answers=answers,
            answer_count=len(answers),
            authority_count=None,
            additional_count=None,
            rcode=rcode,
        )

    async def _ask_server(self, probe: DnsProbe, seen: Observation) -> DnsFacts:
        query = _query(probe)
        host, port = _server(probe)
        address = (await self._tools.resolver.lookup(host, probe.ip, seen))[0]
        over_tcp = probe.protocol == "tcp"
        try:
            answer = await _exchange(query, (address, port), over_tcp, seen)
            if answer.flags & dns.flags.TC and not over_tcp:
                answer = await _exchange(query, (address, port), True, seen)
        except OSError as error:
            raise failure(error, f"{address}:{port}") from None
        except (dns.exception.DNSException, EOFError, ValueError) as error:
            why = type(error).__name__
            raise ProbeFailure("dns", f"{address}:{port} gave no valid answer ({why})") from None
        return _facts(answer, probe)


def _query(probe: DnsProbe) -> dns.message.QueryMessage:
    try:
        return dns.message.make_query(probe.target, probe.record)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ProbeFailure("dns", f"{probe.target} is not a valid name: {error}") from None


def _server(probe: DnsProbe) -> tuple[str, int]:
    if probe.server is not None:
        return server_address(probe.server, PORT)
    try:
        servers = dns.resolver.Resolver().nameservers
    except dns.resolver.NoResolverConfiguration:
        servers = []
    if not servers:
        raise ProbeFailure("dns", "this machine has no DNS server configured; set server")
    return str(servers[0]), PORT


async def _exchange(
    query: dns.message.QueryMessage, server: tuple[str, int], over_tcp: bool, seen: Observation
) -> dns.message.Message:
    """One question and its answer; the runner's timeout ends it."""
    address, port = server
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM
    started = time.perf_counter()
    backend = dns.asyncbackend.get_default_backend()
    sock = await backend.make_socket(  # type: ignore[no-untyped-call]
        family, kind, 0, None, server, None
    )
    async with sock:
        connected_at = time.perf_counter()
        seen.phases.connect = (seen.phases.connect or 0.0) + connected_at - started
        ask = dns.asyncquery.tcp if over_tcp else dns.asyncquery.udp
        answer = await ask(query, address, None, port, sock=sock)
    waited = time.perf_counter() - connected_at
    seen.phases.processing = (seen.phases.processing or 0.0) + waited
    return answer


def _facts(answer: dns.message.Message, probe: DnsProbe) -> DnsFacts:
    wanted = dns.rdatatype.from_text(probe.record)
    return DnsFacts(
        answers=tuple(
            _text(rdata) for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset
        ),
        answer_count=sum(len(rrset) for rrset in answer.answer),
        authority_count=sum(len(rrset) for rrset in answer.authority),
        additional_count=sum(len(rrset) for rrset in answer.additional),
        rcode=dns.rcode.to_text(answer.rcode()),
    )


def _text(rdata: dns.rdata.Rdata) -> str:
    """Texts stand in one piece and without quotes."""
    if isinstance(rdata, TXT):
        return b"".join(rdata.strings).decode("utf-8", "replace")
    return _normal(rdata.to_text())


def _normal(text: str) -> str:
    """Names in small letters and without the last dot, addresses in their shortest form."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text.rstrip(".").lower()


def _check(probe: DnsProbe, facts: DnsFacts) -> None:
    if facts.rcode != probe.expect.rcode:
        raise ProbeFailure("dns", f"expected {probe.expect.rcode}, got {facts.rcode}")
    found = shortened(", ".join(facts.answers)) or "nothing"
    for wanted in probe.expect.answer:
        expected = wanted if probe.record == "TXT" else _normal(wanted)
        if expected not in facts.answers:
            raise ProbeFailure("answer", f"expected {wanted} among the answers, got {found}")
    if not facts.answers and facts.rcode == "NOERROR":
        raise ProbeFailure("answer", f"{probe.target} has no {probe.record} record")
