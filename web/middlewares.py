"""What every request passes: security headers, pages for errors, the check of its origin."""

from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp_jinja2
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_session import session_middleware
from sqlalchemy.exc import SQLAlchemyError

from common.errors import DhmonError
from common.logs import request_id
from common.problem import problem_response
from web import keys
from web.errors import BusyError, CollectorError, CrossSiteError, SessionsAwayError, SignInError
from web.sessions import is_secure

STATUS: dict[type[DhmonError], int] = {
    BusyError: 503,
    CollectorError: 503,
    CrossSiteError: 403,
    SessionsAwayError: 503,
    SignInError: 401,
}
HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": 'Cookie realm="dhmon"'},
    503: {"Retry-After": "5"},
}
EXPLANATIONS = {
    404: "There is nothing at this address.",
    405: "This address does not take that kind of request.",
    413: "That is more than this form takes.",
}
DATABASE_AWAY = (
    "the users database: it does not answer, so nobody can be known; it is being retried"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self';"
        " connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Versions help those who look for old ones.
    "Server": "dhmon",
}
HSTS = "max-age=63072000; includeSubDomains"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
log = structlog.get_logger(__name__)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal, not a middleware: it reaches what no middleware returned, too."""
    response.headers.update(SECURITY_HEADERS)
    if is_secure(request.app[keys.SETTINGS].web):
        response.headers["Strict-Transport-Security"] = HSTS
    # Pages show what belongs to a person; what may be kept says so itself.
    response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as a page for people or as problem details for programs."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        kept = {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else {}
        detail = EXPLANATIONS.get(answer.status) or answer.text or answer.reason
        return error_response(request, answer.status, detail, kept)
    except DhmonError as error:
        status = STATUS.get(type(error), 500)
        log.warning("request refused", status=status, error=str(error))
        return error_response(request, status, str(error), HEADERS.get(status, {}))
    except (SQLAlchemyError, OSError) as error:
        log.warning("users database lost", error=str(error))
        return error_response(request, 503, DATABASE_AWAY, HEADERS[503])
    except Exception:
        # The last edge: whatever it was, the reader gets an answer and the log the traceback.
        log.exception("request failed")
        return error_response(request, 500, "An error of ours; the log has the details.", {})


def error_response(
    request: web.Request, status: int, detail: str, headers: dict[str, str]
) -> web.Response:
    if prefers_json(request):
        return problem_response(request, status, detail, headers)
    page = {
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": detail[:1].upper() + detail[1:],
        "request_id": request_id.get(),
    }
    response = aiohttp_jinja2.render_template("error.html", request, page, status=status)
    response.headers.update(headers)
    return response


def prefers_json(request: web.Request) -> bool:
    """By address, else by `Accept`; who has no preference reads a page."""
    if request.path.startswith(("/api/", "/admin/api/")):
        return True
    weights = dict(_accepted(request.headers.get("Accept", "")))
    json = max(weights.get("application/json", 0.0), weights.get("application/problem+json", 0.0))
    return json > weights.get("text/html", 0.0)


def _accepted(header: str) -> list[tuple[str, float]]:
    """The media types of an `Accept` header with their weights; an unreadable weight is 0."""
    found = []
    for part in header.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        readable = weight.replace(".", "", 1).isdecimal() and weight.isascii()
        found.append((kind, float(weight) if readable else 0.0))
    return found


@web.middleware
async def same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what another site makes a browser send (cross-site request forgery).

    Browsers say where a request comes from: Sec-Fetch-Site, else Origin. Cookies are SameSite, so
    this is the second of two locks.
    """
    if request.method not in SAFE_METHODS and not _comes_from_us(request):
        raise CrossSiteError(
            "this request",
            why="it does not come from a page of this site",
            remedy="open this site and send the form again",
        )
    return await handler(request)


def _comes_from_us(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    public_url = request.app[keys.SETTINGS].web.public_url
    ours = {request.host, _host(public_url or "")} - {""}
    return _host(origin) in ours


def _host(address: str) -> str:
    """Host and port of an address; empty for one that cannot be read ("null")."""
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


@web.middleware
async def sessions(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp-session wants its storage before Redis is open: the two are joined per request."""
    return await session_middleware(request.app[keys.SESSIONS])(request, handler)
