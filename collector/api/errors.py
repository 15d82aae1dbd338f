"""Our errors as problem details: one table, one middleware."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from collector.errors import (
    BusyStoreError,
    InvalidRequestError,
    MissingKeyError,
    NotAcceptableError,
    QueryError,
    QueryTimeoutError,
    ReaderBusyError,
    RefusedQueryError,
    StoreBusyError,
    StoreError,
)
from common.errors import DhmonError
from common.problem import problem_response

STATUS: dict[type[DhmonError], int] = {
    InvalidRequestError: 400,
    MissingKeyError: 401,
    NotAcceptableError: 406,
    QueryError: 400,
    QueryTimeoutError: 504,
    ReaderBusyError: 503,
    RefusedQueryError: 400,
    BusyStoreError: 409,
    StoreBusyError: 503,
    StoreError: 503,
}
HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="dhmon"'},
    503: {"Retry-After": "1"},
}
log = structlog.get_logger(__name__)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as application/problem+json."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        kept = {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else None
        return problem_response(request, answer.status, answer.text or answer.reason, kept)
    except DhmonError as error:
        status = STATUS.get(type(error), 500)
        log.warning("request refused", status=status, error=str(error))
        return problem_response(request, status, str(error), HEADERS.get(status))
    except Exception:
        # The last edge: whatever it was, the caller gets an answer and the log the traceback.
        log.exception("request failed")
        return problem_response(request, 500, "an error of ours; the log has the details")
