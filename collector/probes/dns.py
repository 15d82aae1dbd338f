"""DNS: is the name answered, and with what?"""

import socket
import time

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from collector.model.observation import DnsFacts, Observation, ProbeFailure
from collector.probes.connect import failure
from collector.probes.expectation import check_latency
from collector.probes.resolve import IpVersion
from collector.probes.tools import ProbeTools
from common.probe_settings import DnsProbe, host_port

PORT = 53


class DnsProber:
    """Asks the configured server; without one, addresses are looked up as this machine does."""

    def __init__(self, tools: ProbeTools) -> None:
        self._tools = tools

    async def __call__(self, probe: DnsProbe, seen: Observation) -> None:
        started = time.perf_counter()
        if probe.server is None and probe.record in ("A", "AAAA"):
            await self._ask_as_this_machine(probe, seen)
        else:
            await self._ask_server(probe, seen)
        _check(probe, seen)
        check_latency(started, probe.expect.latency_seconds)

    async def _ask_as_this_machine(self, probe: DnsProbe, seen: Observation) -> None:
        version: IpVersion = "4" if probe.record == "A" else "6"
        addresses = await self._tools.resolver.lookup(probe.target, version, seen)
        answers = tuple(dict.fromkeys(addresses))
        seen.ip = None
        seen.dns = DnsFacts(
            answers=answers,
            answer_count=len(answers),
            authority_count=None,
            additional_count=None,
            rcode="NOERROR",
        )

    async def _ask_server(self, probe: DnsProbe, seen: Observation) -> None:
        query = _query(probe)
        host, port = host_port(probe.server or _configured_server(), PORT)
        address = (await self._tools.resolver.lookup(host, probe.ip, seen))[0]
        try:
            answer = await _exchange(query, address, port, probe.protocol == "tcp", seen)
            if answer.flags & dns.flags.TC:
                answer = await _exchange(query, address, port, True, seen)
        except OSError as error:
            raise failure(error, f"{address}:{port}") from None
        except (dns.exception.DNSException, EOFError, ValueError) as error:
            why = type(error).__name__
            raise ProbeFailure("dns", f"{address}:{port} gave no valid answer ({why})") from None
        seen.dns = DnsFacts(
            answers=_answers(answer, probe.record),
            answer_count=sum(len(rrset) for rrset in answer.answer),
            authority_count=sum(len(rrset) for rrset in answer.authority),
            additional_count=sum(len(rrset) for rrset in answer.additional),
            rcode=dns.rcode.to_text(answer.rcode()),
        )


def _query(probe: DnsProbe) -> dns.message.QueryMessage:
    try:
        return dns.message.make_query(probe.target, probe.record)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ProbeFailure("dns", f"{probe.target} is not a valid name: {error}") from None


def _configured_server() -> str:
    try:
        servers = dns.resolver.Resolver().nameservers
    except dns.resolver.NoResolverConfiguration:
        servers = []
    if not servers:
        raise ProbeFailure("dns", "this machine has no DNS server configured; set server")
    address = str(servers[0])
    return f"[{address}]" if ":" in address else address


async def _exchange(
    query: dns.message.QueryMessage, address: str, port: int, over_tcp: bool, seen: Observation
) -> dns.message.Message:
    """One question and its answer; the runner's timeout ends it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM
    started = time.perf_counter()
    backend = dns.asyncbackend.get_default_backend()
    sock = await backend.make_socket(  # type: ignore[no-untyped-call]
        family, kind, 0, None, (address, port), None
    )
    async with sock:
        connected_at = time.perf_counter()
        seen.phases.connect = (seen.phases.connect or 0.0) + connected_at - started
        if over_tcp:
            answer = await dns.asyncquery.tcp(query, address, None, port, sock=sock)
        else:
            answer = await dns.asyncquery.udp(query, address, None, port, sock=sock)
    waited = time.perf_counter() - connected_at
    seen.phases.processing = (seen.phases.processing or 0.0) + waited
    return answer


def _answers(answer: dns.message.Message, record: str) -> tuple[str, ...]:
    wanted = dns.rdatatype.from_text(record)
    return tuple(
        _normal(rdata.to_text())
        for rrset in answer.answer
        if rrset.rdtype == wanted
        for rdata in rrset
    )


def _normal(text: str) -> str:
    """Names end without a dot, in small letters; texts stand without quotes."""
    if text.startswith('"'):
        return text.replace('" "', "").strip('"')
    return text.rstrip(".").lower()


def _check(probe: DnsProbe, seen: Observation) -> None:
    facts = seen.dns
    if facts is None:
        return
    if facts.rcode != probe.expect.rcode:
        raise ProbeFailure("dns", f"expected {probe.expect.rcode}, got {facts.rcode}")
    found = ", ".join(facts.answers) or "nothing"
    for wanted in probe.expect.answer:
        expected = wanted if probe.record == "TXT" else _normal(wanted)
        if expected not in facts.answers:
            raise ProbeFailure("answer", f"expected {wanted} among the answers, got {found}")
    if not facts.answers and facts.rcode == "NOERROR":
        raise ProbeFailure("answer", f"{probe.target} has no {probe.record} record")
