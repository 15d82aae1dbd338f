"""HTTP probes against a real nginx: facts, expectations, what is sent."""

import pytest

from tests.collector.probes.conftest import LookAt
from tests.servers.nginx import PAGE, Nginx
from tests.servers.ports import loopback_addresses
from tests.servers.raw import answering, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_page_is_up_and_its_facts_are_noted(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/files/page.html"))

    assert outcome.failure is None
    http = outcome.seen.http
    assert http is not None
    assert (http.status, http.version, http.redirects, http.is_tls) == (200, 1.1, 0, False)
    assert (http.content_length, http.body_length) == (len(PAGE), len(PAGE))
    assert http.last_modified_at is not None
    assert outcome.seen.ip == "127.0.0.1"


async def test_every_phase_of_a_plain_request_is_measured(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/", host="localhost"))

    phases = outcome.seen.phases
    assert phases.tls is None
    assert all(
        seconds is not None and seconds > 0
        for seconds in (phases.resolve, phases.connect, phases.processing, phases.transfer)
    )


async def test_an_address_takes_no_time_to_resolve(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/"))

    assert outcome.seen.phases.resolve == 0.0


@pytest.mark.parametrize("host", loopback_addresses())
async def test_an_address_may_stand_in_the_url(look: LookAt, host: str) -> None:
    async with raw_server(answering(OK), host=host) as port:
        url_host = f"[{host}]" if ":" in host else host
        outcome = await look("http", f"http://{url_host}:{port}/")

    assert outcome.failure is None
    assert outcome.seen.ip == host


async def test_only_the_configured_ip_version_is_used(nginx: Nginx, look: LookAt) -> None:
    by_name = await look("http", nginx.url("/", host="localhost"), ip="4")
    by_address = await look("http", nginx.url("/"), ip="6")

    assert by_name.seen.ip == "127.0.0.1"
    assert (by_address.reason, by_address.detail) == (
        "resolve",
        "expected an IPv6 address, the target is 127.0.0.1",
    )


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("/", {"status": [200]}),
        ("/busy", {"status": [200, 503]}),
        ("/", {"body": "for .usiness"}),
        ("/health", {"header": {"x-version": r"^shop 1\.\d$"}}),
        ("/health", {"header": {"X-Version": r"^db"}}),
        ("/health", {"json": {"status": "ok", "checks[0].up": True, "checks[0].ms": 3}}),
        ("/health", {"json": {"checks[0].ms": 3.0}}),
        ("/health", {"json": {"nothing": None}}),
        ("/", {"latency": "4s"}),
    ],
)
async def test_a_target_that_meets_its_expectations_is_up(
    nginx: Nginx, look: LookAt, path: str, expect: dict[str, object]
) -> None:
    outcome = await look("http", nginx.url(path), expect=expect)

    assert outcome.failure is None


@pytest.mark.parametrize(
    ("path", "expect", "reason", "detail"),
    [
        ("/busy", {}, "status", "expected a status from 200 to 299, got 503"),
        ("/", {"status": [204, 301]}, "status", "expected status 204 or 301, got 200"),
        ("/", {"body": "closed"}, "body", "match 'closed', got 'open for business\\n'"),
        ("/", {"header": {"X-Version": "1"}}, "header", "the header X-Version, there is none"),
        (
            "/health",
            {"header": {"X-Version": "9"}},
            "header",
            "match '9', got 'shop 1.2', 'db 7'",
        ),
        ("/health", {"json": {"status": "up"}}, "json", "status to be 'up', got '\"ok\"'"),
        ("/health", {"json": {"checks[0].up": 1}}, "json", "checks[0].up to be 1, got 'true'"),
        ("/health", {"json": {"a[": 1}}, "json", "a[ cannot be evaluated"),
        ("/", {"json": {"a": 1}}, "json", "expected JSON, got 'open for business\\n'"),
        ("/files/huge", {"json": {"a": 1}}, "http", "longer than 10 MiB"),
        ("/", {"latency": "0.001ms"}, "latency", "expected an answer within 0.001ms, took"),
    ],
)
async def test_a_target_that_fails_an_expectation_is_told_apart(
    nginx: Nginx, look: LookAt, path: str, expect: dict[str, object], reason: str, detail: str
) -> None:
    outcome = await look("http", nginx.url(path), expect=expect)

    assert outcome.reason == reason
    assert detail in outcome.detail
    assert outcome.seen.failed_due_to_regex is ("match" in outcome.detail)


async def test_a_detail_quotes_no_more_than_the_beginning(look: LookAt) -> None:
    body = b"x" * 200 + b"secret"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with raw_server(answering(head + body)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", expect={"body": "^y"})

    assert outcome.detail == f"expected the body to match '^y', got '{'x' * 80}…'"


async def test_a_body_is_matched_in_its_first_mebibyte_and_counted_to_its_end(
    look: LookAt,
) -> None:
    body = b"early" + bytes(2 << 20) + b"late"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with raw_server(answering(head + body)) as port:
        early = await look("http", f"http://127.0.0.1:{port}/", expect={"body": "early"})
        late = await look("http", f"http://127.0.0.1:{port}/", expect={"body": "late"})
        json = await look("http", f"http://127.0.0.1:{port}/", expect={"json": {"a": 1}})

    assert early.failure is None
    assert early.seen.http is not None
    assert early.seen.http.body_length == len(body)
    assert late.reason == "body"
    assert json.detail == "expected JSON, got more than the 1 MiB that are looked at"


async def test_a_packed_body_is_unpacked(nginx: Nginx, look: LookAt) -> None:
    outcome = await look(
        "http",
        nginx.url("/files/page.html"),
        headers={"Accept-Encoding": "gzip"},
        expect={"body": f"^{PAGE}$", "header": {"Content-Encoding": "gzip"}},
    )

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert (outcome.seen.http.content_length, outcome.seen.http.body_length) == (None, len(PAGE))


async def test_a_body_in_chunks_is_put_together(look: LookAt) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nop\r\n2\r\nen\r\n0\r\n\r\n"
    )
    async with raw_server(answering(chunked)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", expect={"body": "^open$"})

    assert outcome.failure is None


async def test_the_head_of_a_page_has_no_body(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/files/page.html"), method="HEAD")

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert (outcome.seen.http.content_length, outcome.seen.http.body_length) == (len(PAGE), 0)


async def test_a_request_says_who_asks_and_takes_what_is_configured(
    nginx: Nginx, look: LookAt
) -> None:
    outcome = await look(
        "http",
        nginx.url("/request"),
        method="PUT",
        body="x",
        headers={"Host": "shop.example", "Authorization": "Bearer s3cret"},
        expect={"body": r"^PUT shop\.example \[Bearer s3cret\] \[dhgate-monitor/[\d.]+\] \n$"},
    )

    assert outcome.failure is None


async def test_what_is_configured_wins_over_what_we_say(nginx: Nginx, look: LookAt) -> None:
    outcome = await look(
        "http",
        nginx.url("/request"),
        headers={"User-Agent": "me"},
        expect={"body": r"\[me\]"},
    )

    assert outcome.failure is None


async def test_a_user_in_the_url_is_sent_as_basic_authentication(
    nginx: Nginx, look: LookAt
) -> None:
    outcome = await look(
        "http",
        nginx.url("/request", host="j%C3%A9:pa%20ss@127.0.0.1"),
        expect={"body": r"\[Basic asOpOnBhIHNz\]"},
    )

    assert outcome.failure is None
