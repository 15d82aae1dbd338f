"""HTTP(S): phases, redirects, and expectations on status, headers, body, JSON and certificate."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientOSError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
)

from collector.model.observation import HttpFacts, Observation, ProbeFailure
from collector.probes.certificate import check_lifetime
from collector.probes.expectation import (
    MATCHED_BYTES,
    check_body,
    check_headers,
    check_latency,
    check_status,
    shortened,
)
from collector.probes.http_connector import CURRENT_HOP, Hop, ProbeConnector
from collector.probes.http_request import REDIRECTS, Request, first_request, following_request
from collector.probes.tools import ProbeTools
from common.probe_settings import HttpProbe

MAX_REDIRECTS = 10
MAX_BODY_BYTES = 10 << 20
NO_TIMEOUT = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class HttpProber:
    """Looks at one URL; the session is shared, connections never are."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def __call__(self, probe: HttpProbe, seen: Observation) -> None:
        started = time.perf_counter()
        request = first_request(probe)
        host, redirects = request.url.host, 0
        while following := await self._send(request, Hop(probe, host, seen), redirects):
            request = following
            redirects += 1
        if seen.tls is not None:
            check_lifetime(seen.tls, probe.expect.certificate_seconds)
        check_latency(started, probe.expect.latency_seconds)

    async def _send(self, request: Request, hop: Hop, redirects: int) -> Request | None:
        """Returns the next request when the answer is a redirect to follow."""
        CURRENT_HOP.set(hop)
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response:
                following = _following(request, response, hop, redirects)
                if following is None:
                    await _finish(hop, response, redirects)
                return following
        except ClientError as error:
            raise _failure(error) from None


@asynccontextmanager
async def open_http_prober(tools: ProbeTools) -> AsyncIterator[HttpProber]:
    async with ClientSession(
        connector=ProbeConnector(tools),
        cookie_jar=DummyCookieJar(),
        timeout=NO_TIMEOUT,
        headers={"User-Agent": f"dhgate-monitor/{version('dhgate-monitor')}"},
        skip_auto_headers=("Accept-Encoding",),
    ) as session:
        # aiohttp asks once more when a connection is lost, which would hide that it was.
        session._retry_connection = False
        yield HttpProber(session)


def _following(
    request: Request, response: ClientResponse, hop: Hop, redirects: int
) -> Request | None:
    if not hop.probe.follow_redirects or response.status not in REDIRECTS:
        return None
    hop.seen.http = _facts(response, redirects, 0)
    following = following_request(request, response.status, response.headers.get("Location"))
    if following and redirects == MAX_REDIRECTS:
        raise ProbeFailure("redirects", f"more than {MAX_REDIRECTS} redirects")
    return following


async def _finish(hop: Hop, response: ClientResponse, redirects: int) -> None:
    """Read the body, and hold the answer against what is expected."""
    seen, expect = hop.seen, hop.probe.expect
    kept = bytearray()
    keeps = MATCHED_BYTES if expect.body is not None or expect.json_values else 0
    length = 0
    try:
        async for chunk in response.content.iter_any():
            length += len(chunk)
            if len(kept) < keeps:
                kept += chunk
            if length > MAX_BODY_BYTES:
                raise ProbeFailure("http", f"the body is longer than {MAX_BODY_BYTES >> 20} MiB")
    finally:
        seen.http = _facts(response, redirects, length)
    if hop.handler is not None:
        seen.phases.transfer = time.perf_counter() - hop.handler.first_byte_at
    check_status(response.status, expect)
    check_headers(response.headers, expect, seen)
    check_body(bytes(kept[:keeps]), expect, seen)


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
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _failure(error: ClientError) -> ProbeFailure:
    if isinstance(error, ServerDisconnectedError):
        return ProbeFailure("http", "the connection was closed without a whole answer")
    if isinstance(error, ClientOSError | ClientConnectionResetError):
        return ProbeFailure("reset", "the connection was lost before the answer was whole")
    if isinstance(error, ClientPayloadError):
        return ProbeFailure("http", f"the body is not whole or not valid: {_said(str(error))}")
    if isinstance(error, ClientResponseError):
        return ProbeFailure("http", f"the answer is not valid HTTP: {_said(error.message)}")
    return ProbeFailure("http", f"the answer is not valid HTTP ({type(error).__name__})")


def _said(message: str) -> str:
    """The parser's first line: the others quote the answer at length."""
    return shortened(message.strip().partition("\n")[0].rstrip(":"))
