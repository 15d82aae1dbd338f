"""The resolver against a real DNS server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiodns
import pytest

from collector.model.observation import Observation
from collector.probes.resolve import Resolver, UnresolvedError
from tests.servers.dns import DnsServer, dns_server


@asynccontextmanager
async def resolver_of(server: DnsServer) -> AsyncIterator[Resolver]:
    async with aiodns.DNSResolver() as dns:
        resolver = Resolver(dns)
        dns.nameservers = [server.address]
        yield resolver


async def test_every_lookup_asks_the_server_again() -> None:
    async with dns_server() as server, resolver_of(server) as resolver:
        looked_up = [await resolver.ask("loopback.example", "4") for _ in range(3)]

    assert looked_up == [["127.0.0.1"]] * 3
    assert server.asked == ["loopback.example. A"] * 3


async def test_a_lookup_notes_the_address_and_its_time() -> None:
    seen = Observation()

    async with dns_server() as server, resolver_of(server) as resolver:
        addresses = await resolver.lookup("shop.example", "6", seen)

    assert addresses == ["2001:db8::1"]
    assert seen.ip == "2001:db8::1"
    assert seen.phases.resolve is not None
    assert seen.phases.resolve > 0


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("nowhere.example", "NXDOMAIN"),
        ("long.example", "NOERROR"),
        ("refused.example", "REFUSED"),
        ("broken.example", "SERVFAIL"),
        ("not..valid", None),
    ],
)
async def test_a_name_without_an_address_fails_with_what_the_server_said(
    name: str, rcode: str | None
) -> None:
    async with dns_server() as server, resolver_of(server) as resolver:
        with pytest.raises(UnresolvedError) as failed:
            await resolver.ask(name, "4")

    assert (failed.value.reason, failed.value.rcode) == ("resolve", rcode)
    assert name in failed.value.detail


async def test_lookups_that_are_not_answered_hold_up_no_other() -> None:
    async with dns_server() as server, resolver_of(server) as resolver:
        stuck = [asyncio.ensure_future(resolver.ask("silent.example", "4")) for _ in range(64)]
        await asyncio.sleep(0)

        addresses = await resolver.ask("loopback.example", "4")
        unanswered = [lookup for lookup in stuck if not lookup.done()]
        for lookup in stuck:
            lookup.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    assert addresses == ["127.0.0.1"]
    assert len(unanswered) == 64
