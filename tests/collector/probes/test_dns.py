"""DNS probes against a real server on loopback."""

import pytest

from tests.collector.probes.conftest import LookAt
from tests.servers.dns import dns_server
from tests.servers.ports import free_ports, loopback_addresses


@pytest.mark.parametrize(
    ("name", "record", "answers"),
    [
        ("shop.example", "A", ["192.0.2.1", "192.0.2.2"]),
        ("SHOP.example.", "AAAA", ["2001:0DB8:0::1"]),
        ("www.shop.example", "CNAME", ["shop.example"]),
        ("shop.example", "MX", ["10 mail.shop.example"]),
        ("shop.example", "TXT", ['v=spf1 include:"us" -all']),
        ("shop.example", "NS", ["ns2.shop.example.", "NS1.shop.example"]),
    ],
)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_name_with_the_expected_answers_is_up(
    look: LookAt, name: str, record: str, answers: list[str], protocol: str
) -> None:
    async with dns_server() as server:
        outcome = await look(
            "dns",
            name,
            record=record,
            server=server.address,
            protocol=protocol,
            expect={"answer": answers},
        )

    assert outcome.failure is None
    dns = outcome.seen.dns
    assert dns is not None
    assert (dns.rcode, dns.answer_count, dns.authority_count) == ("NOERROR", len(dns.answers), 0)
    assert outcome.seen.phases.connect is not None
    assert outcome.seen.phases.processing is not None


@pytest.mark.parametrize("host", loopback_addresses())
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_server_may_be_an_address_of_either_kind(
    look: LookAt, host: str, protocol: str
) -> None:
    async with dns_server(host) as server:
        outcome = await look("dns", "shop.example", server=server.address, protocol=protocol)

    assert outcome.failure is None
    assert outcome.seen.ip == host
    assert outcome.seen.phases.resolve == 0.0


async def test_a_server_may_have_a_name(look: LookAt) -> None:
    async with dns_server() as server:
        address = server.address.replace("127.0.0.1", "localhost")
        outcome = await look("dns", "shop.example", server=address, ip="4")

    assert outcome.failure is None
    assert outcome.seen.phases.resolve is not None
    assert outcome.seen.phases.resolve > 0


@pytest.mark.parametrize(
    ("name", "record", "expect", "reason", "detail"),
    [
        ("nowhere.example", "A", {}, "dns", "expected NOERROR, got NXDOMAIN"),
        ("refused.example", "A", {}, "dns", "expected NOERROR, got REFUSED"),
        ("shop.example", "A", {"rcode": "NXDOMAIN"}, "dns", "expected NXDOMAIN, got NOERROR"),
        ("www.shop.example", "MX", {}, "answer", "www.shop.example has no MX record"),
        (
            "shop.example",
            "A",
            {"answer": ["192.0.2.9"]},
            "answer",
            "expected 192.0.2.9 among the answers, got 192.0.2.",
        ),
        ("shop.example", "TXT", {"answer": ["V=SPF1"]}, "answer", "got v=spf1 include"),
        ("garbage.example", "A", {}, "dns", "gave no valid answer"),
        ("stranger.example", "A", {}, "dns", "gave no valid answer (BadResponse)"),
        (f"{'x' * 64}.example", "A", {}, "dns", "is not a valid name"),
    ],
)
async def test_a_name_with_another_answer_is_down(
    look: LookAt, name: str, record: str, expect: dict[str, object], reason: str, detail: str
) -> None:
    async with dns_server() as server:
        outcome = await look("dns", name, record=record, server=server.address, expect=expect)

    assert outcome.reason == reason
    assert detail in outcome.detail


async def test_a_name_may_be_expected_not_to_exist(look: LookAt) -> None:
    async with dns_server() as server:
        outcome = await look(
            "dns", "nowhere.example", server=server.address, expect={"rcode": "NXDOMAIN"}
        )

    assert outcome.failure is None


async def test_an_answer_that_does_not_fit_into_a_datagram_is_fetched_over_tcp(
    look: LookAt,
) -> None:
    async with dns_server() as server:
        outcome = await look("dns", "long.example", record="TXT", server=server.address)

    assert outcome.failure is None
    assert outcome.seen.dns is not None
    assert outcome.seen.dns.answer_count == 9
    assert server.asked == ["long.example. TXT"] * 2


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_server_that_says_nothing_ends_with_the_timeout(
    look: LookAt, protocol: str
) -> None:
    async with dns_server() as server:
        outcome = await look(
            "dns", "silent.example", server=server.address, protocol=protocol, timeout="200ms"
        )

    assert outcome.reason == "timeout"
    assert outcome.seen.phases.connect is not None
    assert outcome.seen.phases.processing is None


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_server_that_is_not_there_is_told_apart(look: LookAt, protocol: str) -> None:
    [port] = free_ports(1)

    outcome = await look("dns", "shop.example", server=f"127.0.0.1:{port}", protocol=protocol)

    assert (outcome.reason, outcome.detail) == (
        "refused",
        f"127.0.0.1:{port} refused the connection",
    )


async def test_a_name_of_this_machine_is_found_as_the_machine_finds_it(look: LookAt) -> None:
    outcome = await look("dns", "localhost", expect={"answer": ["127.0.0.1"]})

    assert outcome.failure is None
    assert outcome.seen.phases.processing is not None
    assert outcome.seen.dns is not None
    assert outcome.seen.dns.authority_count is None


@pytest.mark.parametrize(("expect", "reason"), [({}, "dns"), ({"rcode": "NXDOMAIN"}, None)])
async def test_a_name_that_this_machine_does_not_find_does_not_exist(
    look: LookAt, expect: dict[str, object], reason: str | None
) -> None:
    outcome = await look("dns", "no-such-host.invalid", expect=expect)

    assert outcome.reason == reason
