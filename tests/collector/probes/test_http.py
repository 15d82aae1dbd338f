"""HTTP probes against a real nginx, and against servers that misbehave."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.model.observation import Phases
from tests.collector.probes.conftest import LookAt
from tests.servers.certificates import Certificates
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.raw import answering, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_page_is_up_and_its_facts_are_noted(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/files/page.html"))

    assert outcome.failure is None
    http = outcome.seen.http
    assert http is not None
    assert (http.status, http.version, http.redirects, http.is_tls) == (200, 1.1, 0, False)
    assert (http.content_length, http.body_length) == (13, 13)
    assert http.last_modified_at is not None
    assert outcome.seen.ip == "127.0.0.1"


async def test_every_phase_of_a_plain_request_is_measured(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/"))

    phases = outcome.seen.phases
    assert phases.tls is None
    assert all(
        seconds is not None and seconds > 0
        for seconds in (phases.resolve, phases.connect, phases.processing, phases.transfer)
    )


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("/", {"status": [200]}),
        ("/busy", {"status": [200, 503]}),
        ("/", {"body": "for .usiness"}),
        ("/health", {"header": {"x-version": r"^shop 1\.\d$"}}),
        ("/health", {"json": {"status": "ok", "checks[0].up": True, "checks[0].ms": 3}}),
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
        ("/health", {"header": {"X-Version": "9"}}, "header", "match '9', got 'shop 1.2'"),
        ("/health", {"json": {"status": "up"}}, "json", "status to be 'up', got '\"ok\"'"),
        ("/health", {"json": {"checks[0].up": 1}}, "json", "checks[0].up to be 1, got 'true'"),
        ("/health", {"json": {"a[": 1}}, "json", "a[ cannot be evaluated"),
        ("/", {"json": {"a": 1}}, "json", "expected JSON, got 'open for business\\n'"),
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


async def test_redirects_are_followed_and_counted(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/twice"), expect={"body": "open"})

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert outcome.seen.http.redirects == 2


async def test_a_redirect_that_is_not_followed_is_the_answer(nginx: Nginx, look: LookAt) -> None:
    outcome = await look(
        "http", nginx.url("/twice"), follow_redirects=False, expect={"status": [301]}
    )

    assert outcome.failure is None


@pytest.mark.parametrize(
    ("path", "detail"),
    [("/loop", "more than 10 redirects"), ("/elsewhere", "a redirect leads to ftp:")],
)
async def test_redirects_that_lead_nowhere_fail(
    nginx: Nginx, look: LookAt, path: str, detail: str
) -> None:
    outcome = await look("http", nginx.url(path))

    assert (outcome.reason, outcome.detail) == ("redirects", detail)


async def test_a_redirect_into_tls_is_measured_and_verified(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look("http", nginx.url("/secure"), tls={"ca": certificates.ca})

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert outcome.seen.http.is_tls
    assert outcome.seen.phases.tls is not None


@pytest.mark.parametrize(
    ("path", "method", "seen"), [("/see-other", "POST", "GET"), ("/keep-method", "POST", "POST")]
)
async def test_a_redirect_changes_the_method_as_the_status_says(
    nginx: Nginx, look: LookAt, path: str, method: str, seen: str
) -> None:
    outcome = await look(
        "http", nginx.url(path), method=method, body="x", expect={"body": f"^{seen} "}
    )

    assert outcome.failure is None


async def test_credentials_are_sent_to_the_target_and_to_no_other_host(
    nginx: Nginx, look: LookAt
) -> None:
    async with raw_server(
        answering(
            b"HTTP/1.1 302 Found\r\nLocation: "
            + nginx.url("/method").encode()
            + b"\r\nContent-Length: 0\r\n\r\n"
        )
    ) as port:
        secret = {"Authorization": "Bearer s3cret"}
        direct = await look(
            "http", nginx.url("/method"), headers=secret, expect={"body": "Bearer s3cret"}
        )
        redirected = await look(
            "http", f"http://127.0.0.1:{port}/", headers=secret, expect={"body": "^GET \n$"}
        )

    assert direct.failure is None
    assert redirected.failure is None


async def test_a_request_says_who_asks_and_takes_what_is_configured(
    nginx: Nginx, look: LookAt
) -> None:
    outcome = await look(
        "http",
        nginx.url("/agent"),
        headers={"Host": "shop.example"},
        expect={"body": r"^dhgate-monitor/[\d.]+\|\|shop\.example\n$"},
    )

    assert outcome.failure is None


async def test_a_certificate_is_described(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look("http", f"https://localhost:{nginx.good}/", tls={"ca": certificates.ca})

    assert outcome.failure is None
    tls = outcome.seen.tls
    assert tls is not None
    assert tls.version == "TLSv1.3"
    assert tls.certificate.earliest_expiry_at == certificates.good_until
    assert tls.certificate.chain_expiry_at == certificates.good_until
    assert tls.certificate.problem is None
    assert tls.certificate.alternative_names == ("localhost", "127.0.0.1")
    assert outcome.seen.phases.tls is not None
    assert outcome.seen.phases.tls > 0


@pytest.mark.parametrize(
    ("site", "problem"),
    [
        ("expired", "certificate has expired"),
        ("wrong_host", "Hostname mismatch"),
        ("self_signed", "self-signed certificate"),
        ("unknown_ca", "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_is_refused_is_described_all_the_same(
    nginx: Nginx, certificates: Certificates, look: LookAt, site: str, problem: str
) -> None:
    expected_end = certificates.expired_at if site == "expired" else certificates.good_until

    outcome = await look(
        "http", f"https://localhost:{getattr(nginx, site)}/", tls={"ca": certificates.ca}
    )

    assert outcome.reason == "certificate"
    assert problem in outcome.detail
    assert f"it ends at {expected_end:%Y-%m-%dT%H:%M:%SZ}" in outcome.detail
    assert outcome.seen.tls is not None
    assert outcome.seen.tls.certificate.earliest_expiry_at == expected_end
    assert outcome.seen.tls.certificate.chain_expiry_at is None
    assert problem in (outcome.seen.tls.certificate.problem or "")


async def test_a_certificate_need_not_be_verified(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", f"https://localhost:{nginx.self_signed}/", tls={"verify": False})

    assert outcome.failure is None
    assert outcome.seen.tls is not None
    assert outcome.seen.tls.certificate.serial == "1f"


async def test_the_name_on_the_certificate_can_be_another(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look(
        "http",
        f"https://127.0.0.1:{nginx.wrong_host}/",
        tls={"ca": certificates.ca, "server_name": "elsewhere.example"},
    )

    assert outcome.failure is None


@pytest.mark.parametrize(("wanted", "reason"), [("19d", None), ("21d", "certificate")])
async def test_a_certificate_must_be_valid_for_long_enough(
    nginx: Nginx, certificates: Certificates, look: LookAt, wanted: str, reason: str | None
) -> None:
    outcome = await look(
        "http",
        f"https://localhost:{nginx.good}/",
        tls={"ca": certificates.ca},
        expect={"certificate": wanted},
    )

    assert outcome.reason == reason


async def test_a_refused_connection_says_so(look: LookAt) -> None:
    [port] = free_ports(1)

    outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert (outcome.reason, outcome.detail) == (
        "refused",
        f"127.0.0.1:{port} refused the connection",
    )
    assert outcome.seen.phases.connect is not None
    assert outcome.seen.phases.processing is None


async def test_a_name_that_does_not_exist_says_so(look: LookAt) -> None:
    outcome = await look("http", "http://no-such-host.invalid/")

    assert outcome.reason == "resolve"
    assert "no-such-host.invalid" in outcome.detail


async def test_plain_http_on_a_tls_probe_fails_in_the_handshake(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", f"https://127.0.0.1:{nginx.plain}/")

    assert outcome.reason == "tls"


async def test_a_body_without_end_is_cut_off(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/files/huge"))

    assert (outcome.reason, outcome.detail) == ("http", "the body is longer than 10 MiB")


async def test_a_timeout_keeps_the_phases_that_were_finished(look: LookAt) -> None:
    async with raw_server(answering(60.0)) as port:
        with pytest.raises(TimeoutError):
            await look("http", f"http://127.0.0.1:{port}/", timeout="200ms")


@pytest.mark.parametrize(
    ("parts", "slow"),
    [((0.3, OK), "processing"), ((OK[:-2], 0.3, OK[-2:]), "transfer")],
)
async def test_a_pause_counts_in_the_phase_in_which_it_is_made(
    look: LookAt, parts: tuple[bytes | float, ...], slow: str
) -> None:
    async with raw_server(answering(*parts)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.failure is None
    assert getattr(outcome.seen.phases, slow) >= 0.29
    assert rest(outcome.seen.phases, slow) < getattr(outcome.seen.phases, slow)


def rest(phases: Phases, slow: str) -> float:
    names = {"resolve", "connect", "processing", "transfer"} - {slow}
    return sum(float(getattr(phases, name)) for name in names)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "http"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "http"),
        (b"HTTP/1.1 999999 No\r\n\r\n", "http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "http"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n", "redirects"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://\r\nContent-Length: 0\r\n\r\n", "redirects"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", "http"),
    ],
)
async def test_an_answer_that_is_no_http_fails_clearly(
    look: LookAt, answer: bytes, reason: str
) -> None:
    async with raw_server(answering(answer)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.reason == reason


async def test_an_answer_that_ends_with_the_connection_is_whole(look: LookAt) -> None:
    async with raw_server(answering(b"HTTP/1.0 200 OK\r\n\r\nall of it")) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", expect={"body": "^all of it$"})

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert (outcome.seen.http.version, outcome.seen.http.content_length) == (1.0, None)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    head=st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", OK[:-2]]),
    noise=st.binary(max_size=200),
)
async def test_no_answer_makes_the_prober_stumble(look: LookAt, head: bytes, noise: bytes) -> None:
    """Whatever a server says, the outcome is up or a reason, never a fault of ours."""
    async with raw_server(answering(head + noise)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", follow_redirects=False)

    assert outcome.failure is None or outcome.reason in {"http", "reset", "status"}
