"""What every request passes: security headers, pages for errors, and the check of its origin."""

from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp_jinja2
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from redis.exceptions import RedisError

from common.errors import DhmonError
from common.logs import request_id
from common.problem import problem_response
from web import keys
from web.sessions import is_secure

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=63072000; includeSubDomains"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_STORE_AWAY = (
    "Sign-in is unavailable: the session store does not answer. It is being retried; "
    "try again in a moment."
)
log = structlog.get_logger(__name__)


@web.middleware
async def security_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as answer:
        _secure(request, answer)
        raise
    _secure(request, response)
    return response


def _secure(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    if is_secure(request.config_dict[keys.SETTINGS].web):
        response.headers["Strict-Transport-Security"] = HSTS
    # Pages show what belongs to a person; what may be kept says so itself.
    response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as a page for people, as problem details for programs."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        allow = {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else {}
        return error_response(request, answer.status, answer.text or answer.reason, allow)
    except RedisError as error:
        log.warning("session store away", error=str(error))
        return error_response(request, 503, SESSION_STORE_AWAY, {"Retry-After": "5"})
    except DhmonError as error:
        log.warning("request failed", error=str(error))
        return error_response(request, 503, str(error), {"Retry-After": "5"})
    except Exception:
        # The last edge: whatever it was, the reader gets an answer and the log the traceback.
        log.exception("request failed")
        return error_response(request, 500, "An error of ours. It is in the log.", {})


def error_response(
    request: web.Request, status: int, detail: str, headers: dict[str, str]
) -> web.Response:
    if wants_json(request):
        return problem_response(request, status, detail, headers)
    page = {
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": detail.removeprefix(f"{status}: "),
        "request_id": request_id.get(),
    }
    response = aiohttp_jinja2.render_template("components/error.html", request, page, status=status)
    response.headers.update(headers)
    return response


def wants_json(request: web.Request) -> bool:
    if request.path.startswith(("/api/", "/admin/api/")):
        return True
    accept = request.headers.get("Accept", "")
    return "json" in accept and "text/html" not in accept


@web.middleware
async def same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what another site makes a browser send (cross-site request forgery).

    Browsers say where a request comes from: Sec-Fetch-Site, else Origin. Cookies are SameSite, so
    this is the second of two locks.
    """
    if request.method not in SAFE_METHODS and not _comes_from_us(request):
        raise web.HTTPForbidden(text="This request came from another site, and was refused.")
    return await handler(request)


def _comes_from_us(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    public_url = request.config_dict[keys.SETTINGS].web.public_url
    ours = {request.host} | ({urlsplit(public_url).netloc} if public_url else set())
    return urlsplit(origin).netloc in ours
