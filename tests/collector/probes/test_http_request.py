"""Redirects: where they lead, and what goes with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from collector.model.observation import ProbeFailure
from collector.probes.http_request import Request, following_request
from tests.collector.probes.conftest import LookAt
from tests.servers.certificates import Certificates
from tests.servers.nginx import Nginx
from tests.servers.raw import answering, raw_server

SECRET = {"Authorization": "Bearer s3cret"}


def redirect_to(url: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_redirects_are_followed_and_counted(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/twice"), expect={"body": "open"})

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert (outcome.seen.http.status, outcome.seen.http.redirects) == (200, 2)


async def test_a_redirect_that_is_not_followed_is_the_answer(nginx: Nginx, look: LookAt) -> None:
    outcome = await look(
        "http", nginx.url("/twice"), follow_redirects=False, expect={"status": [301]}
    )

    assert outcome.failure is None


async def test_a_redirect_to_nowhere_in_particular_is_the_answer(look: LookAt) -> None:
    async with raw_server(answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", expect={"status": [302]})

    assert outcome.failure is None


async def test_redirects_in_a_circle_are_followed_ten_times(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/loop"))

    assert (outcome.reason, outcome.detail) == ("redirects", "more than 10 redirects")
    assert outcome.seen.http is not None
    assert (outcome.seen.http.status, outcome.seen.http.redirects) == (302, 10)
    assert outcome.seen.phases.transfer is None


async def test_a_redirect_out_of_http_fails(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", nginx.url("/elsewhere"))

    assert (outcome.reason, outcome.detail) == (
        "redirects",
        "a redirect leads to 'ftp', not to HTTP",
    )


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


async def test_credentials_stay_with_the_server_that_they_are_for(
    nginx: Nginx, look: LookAt
) -> None:
    async with raw_server(answering(redirect_to(nginx.url("/request")))) as port:
        same = await look(
            "http", nginx.url("/absolute"), headers=SECRET, expect={"body": "Bearer s3cret"}
        )
        other_port = await look(
            "http", f"http://127.0.0.1:{port}/", headers=SECRET, expect={"body": r" \[\] "}
        )
        other_name = await look(
            "http", nginx.url("/other-name"), headers=SECRET, expect={"body": r" \[\] "}
        )

    assert same.failure is None
    assert other_port.failure is None
    assert other_name.failure is None


async def test_a_user_of_the_url_stays_with_the_server_too(nginx: Nginx, look: LookAt) -> None:
    me = "me:pw@127.0.0.1"

    same = await look(
        "http", nginx.url("/see-other", host=me), expect={"body": r"\[Basic bWU6cHc=\]"}
    )
    other = await look("http", nginx.url("/other-name", host=me), expect={"body": r" \[\] "})

    assert same.failure is None
    assert other.failure is None


async def test_a_configured_host_goes_along_only_when_the_redirect_names_none(
    nginx: Nginx, look: LookAt
) -> None:
    host = {"Host": "shop.example"}

    relative = await look(
        "http", nginx.url("/see-other"), headers=host, expect={"body": "^GET shop.example "}
    )
    absolute = await look(
        "http", nginx.url("/absolute"), headers=host, expect={"body": r"^GET 127\.0\.0\.1:"}
    )

    assert relative.failure is None
    assert absolute.failure is None


@pytest.mark.parametrize(
    ("here", "there", "keeps"),
    [
        ("http://shop.example/", "https://shop.example/", True),
        ("https://shop.example/", "http://shop.example/", False),
        ("http://shop.example:8080/", "https://shop.example/", False),
        ("https://shop.example/", "https://cdn.shop.example/", False),
    ],
)
def test_credentials_go_along_to_tls_but_never_back(here: str, there: str, keeps: bool) -> None:
    following = following_request(Request("GET", URL(here), SECRET, None), 302, there)

    assert following is not None
    assert bool(following.headers) is keeps


@pytest.mark.parametrize(
    ("location", "detail"),
    [
        ("http://[::1", "the Location of a redirect is no URL of a host"),
        ("http://host:99999/", "the Location of a redirect is no URL of a host"),
        ("http://", "the Location of a redirect is no URL of a host"),
        ("//:80", "the Location of a redirect is no URL of a host"),
        ("https:shop", "the Location of a redirect is no URL of a host"),
        ("javascript:alert(1)", "the Location of a redirect is no URL of a host"),
        ("ftp://me:pw@shop.example/", "a redirect leads to 'ftp', not to HTTP"),
    ],
)
def test_a_location_that_is_none_fails(location: str, detail: str) -> None:
    request = Request("GET", URL("http://shop.example/"), {}, None)

    with pytest.raises(ProbeFailure) as failed:
        following_request(request, 302, location)

    assert (failed.value.reason, failed.value.detail) == ("redirects", detail)


@given(
    st.one_of(
        st.text(),
        st.builds("http://{}".format, st.text()),
        st.builds("//{}:{}".format, st.text(), st.integers()),
    )
)
def test_any_location_leads_to_http_or_fails(location: str) -> None:
    request = Request("POST", URL("http://shop.example/"), SECRET, b"x")

    try:
        following = following_request(request, 301, location)
    except ProbeFailure as failure:
        assert failure.reason == "redirects"
    else:
        assert following is None or (following.url.scheme.startswith("http") and following.url.host)
