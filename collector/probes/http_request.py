"""The requests of a probe: the configured one, and those that redirects lead to."""

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache

from yarl import URL

from collector.model.observation import ProbeFailure
from collector.probes.expectation import shown
from common.probe_settings import HttpProbe

REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What belongs to the target goes to no other host (as Go's client has it).
CREDENTIALS = frozenset({"authorization", "cookie", "www-authenticate"})
HOST = frozenset({"host"})


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out next; credentials stand in the headers, never in the URL."""

    method: str
    url: URL
    headers: dict[str, str]
    body: bytes | None


def first_request(probe: HttpProbe) -> Request:
    url, authorization = _parsed(probe.target)
    headers = _with_authorization(probe.headers, authorization)
    return Request(probe.method, url, headers, probe.body.encode() or None)


def following_request(request: Request, status: int, location: str | None) -> Request | None:
    """Where a redirect leads; None when the answer is none.

    Raises ProbeFailure("redirects") when it leads to what is no HTTP URL.
    """
    if status not in REDIRECTS or not location:
        return None
    url, is_absolute, authorization = _target(request.url, location)
    headers = request.headers
    if is_absolute:
        headers = _without(headers, HOST)
    if not _may_share_credentials(request.url, url):
        headers = _without(headers, CREDENTIALS)
    headers = _with_authorization(headers, authorization)
    if status in (307, 308) or request.method in ("GET", "HEAD"):
        return Request(request.method, url, headers, request.body)
    return Request("GET", url, headers, None)


@lru_cache(maxsize=4096)
def _parsed(target: str) -> tuple[URL, str | None]:
    return _without_user(URL(target))


def _target(base: URL, location: str) -> tuple[URL, bool, str | None]:
    """Where it leads, whether it names a host itself, and the credentials that stood in it."""
    try:
        there = URL(location)
        url, authorization = _without_user(base.join(there))
        names_host = bool(url.host and (there.host or not there.scheme))
    except ValueError:
        raise _no_url() from None
    if not names_host:
        raise _no_url()
    if url.scheme not in ("http", "https"):
        raise ProbeFailure("redirects", f"a redirect leads to {shown(url.scheme)}, not to HTTP")
    return url, there.host is not None, authorization


def _no_url() -> ProbeFailure:
    return ProbeFailure("redirects", "the Location of a redirect is no URL of a host")


def _may_share_credentials(here: URL, there: URL) -> bool:
    """The same server, or the same host gone over to TLS."""
    is_upgrade = (here.scheme, here.port, there.scheme, there.port) == ("http", 80, "https", 443)
    return here.host == there.host and (here.origin() == there.origin() or is_upgrade)


def _without_user(url: URL) -> tuple[URL, str | None]:
    """The URL, and the Authorization header for the user that stood in it."""
    if url.user is None:
        return url, None
    pair = f"{url.user}:{url.password or ''}".encode()
    return url.with_user(None), f"Basic {b64encode(pair).decode()}"


def _with_authorization(headers: dict[str, str], value: str | None) -> dict[str, str]:
    if value is None or any(name.lower() == "authorization" for name in headers):
        return headers
    return {**headers, "Authorization": value}


def _without(headers: dict[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in names}
