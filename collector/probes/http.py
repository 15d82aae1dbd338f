"""HTTP(S): phases, redirects, and expectations on status, headers, body, JSON and certificate."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientOSError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
)
from yarl import URL

from collector.model.observation import HttpFacts, Observation, ProbeFailure
from collector.probes.certificate import check_lifetime
from collector.probes.expectation import (
    check_body,
    check_headers,
    check_latency,
    check_status,
)
from collector.probes.http_connector import CURRENT_HOP, Hop, ProbeConnector
from collector.probes.tools import ProbeTools
from common.probe_settings import HttpProbe

MAX_REDIRECTS = 10
MATCHED_BYTES = 1 << 20
MAX_BODY_BYTES = 10 << 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What belongs to the target goes to no other host (as Go's client has it).
OWN_HEADERS = frozenset({"authorization", "cookie", "host", "www-authenticate"})
NO_TIMEOUT = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out next."""

    method: str
    url: URL
    headers: dict[str, str]
    body: bytes | None


class HttpProber:
    """Looks at one URL; the session is shared, connections never are."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def __call__(self, probe: HttpProbe, seen: Observation) -> None:
        started = time.perf_counter()
        body = probe.body.encode() or None
        request = Request(probe.method, URL(probe.target), probe.headers, body)
        for redirects in range(MAX_REDIRECTS + 1):
            following = await self._hop(probe, request, redirects, seen)
            if following is None:
                break
            request = following
        else:
            raise ProbeFailure("redirects", f"more than {MAX_REDIRECTS} redirects")
        if seen.tls is not None:
            check_lifetime(seen.tls, probe.expect.certificate_seconds)
        check_latency(started, probe.expect.latency_seconds)

    async def _hop(
        self, probe: HttpProbe, request: Request, redirects: int, seen: Observation
    ) -> Request | None:
        """One request; returns the next one when the answer is a redirect to follow."""
        hop = Hop(probe, seen, is_first=redirects == 0)
        CURRENT_HOP.set(hop)
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response:
                first_byte_at = _note_processing(hop)
                if probe.follow_redirects and (following := _redirect(request, response)):
                    response.close()
                    return following
                await _finish(probe, response, redirects, first_byte_at, seen)
        except (ClientError, ValueError) as error:
            raise _failure(error) from None
        return None


@asynccontextmanager
async def open_http_prober(tools: ProbeTools) -> AsyncIterator[HttpProber]:
    async with ClientSession(
        connector=ProbeConnector(tools),
        cookie_jar=DummyCookieJar(),
        timeout=NO_TIMEOUT,
        headers={"User-Agent": f"dhgate-monitor/{version('dhgate-monitor')}"},
        skip_auto_headers=("Accept-Encoding",),
    ) as session:
        yield HttpProber(session)


def _note_processing(hop: Hop) -> float:
    """From the connection being ready to the first byte, added up over redirects."""
    first_byte_at = hop.handler.first_byte_at if hop.handler is not None else None
    if first_byte_at is None:
        return time.perf_counter()
    phases = hop.seen.phases
    phases.processing = (phases.processing or 0.0) + first_byte_at - hop.ready_at
    return first_byte_at


async def _finish(
    probe: HttpProbe,
    response: ClientResponse,
    redirects: int,
    first_byte_at: float,
    seen: Observation,
) -> None:
    expect = probe.expect
    seen.http = _facts(response, redirects, 0)
    body, length = await _read(response, keep=bool(expect.body or expect.json_values))
    seen.phases.transfer = time.perf_counter() - first_byte_at
    seen.http = _facts(response, redirects, length)
    check_status(response.status, expect)
    check_headers(response.headers, expect, seen)
    check_body(body, expect, seen)


async def _read(response: ClientResponse, *, keep: bool) -> tuple[bytes, int]:
    """The first MATCHED_BYTES when they are to be kept, and the whole length."""
    kept = bytearray()
    length = 0
    async for chunk in response.content.iter_any():
        length += len(chunk)
        if keep and len(kept) < MATCHED_BYTES:
            kept += chunk
        if length > MAX_BODY_BYTES:
            raise ProbeFailure("http", f"the body is longer than {MAX_BODY_BYTES >> 20} MiB")
    return bytes(kept[:MATCHED_BYTES]), length


def _facts(response: ClientResponse, redirects: int, body_length: int) -> HttpFacts:
    version = response.version
    return HttpFacts(
        status=response.status,
        version=version.major + version.minor / 10 if version else 1.0,
        redirects=redirects,
        content_length=response.content_length,
        body_length=body_length,
        is_tls=response.url.scheme == "https",
        last_modified_at=_date(response.headers.get("Last-Modified")),
    )


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _redirect(request: Request, response: ClientResponse) -> Request | None:
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or not location:
        return None
    try:
        url = request.url.join(URL(location))
    except ValueError:
        raise ProbeFailure("redirects", "the Location of a redirect is no URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ProbeFailure("redirects", f"a redirect leads to {url.scheme or 'nowhere'}:")
    headers = request.headers
    if url.origin() != request.url.origin():
        headers = {k: v for k, v in headers.items() if k.lower() not in OWN_HEADERS}
    if response.status in (307, 308) or request.method in ("GET", "HEAD"):
        return Request(request.method, url, headers, request.body)
    return Request("GET", url, headers, None)


def _failure(error: ClientError | ValueError) -> ProbeFailure:
    if isinstance(error, ServerDisconnectedError):
        return ProbeFailure("http", "the connection was closed without a whole answer")
    if isinstance(error, ClientOSError | ClientConnectionResetError):
        return ProbeFailure("reset", "the connection was lost before the answer was whole")
    return ProbeFailure("http", f"the answer is not valid HTTP ({type(error).__name__})")
