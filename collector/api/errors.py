"""Our errors as problem details: one table, one middleware."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from collector.errors import (
    BusyStoreError,
    IngestBusyError,
    InvalidRequestError,
    MissingKeyError,
    MissingScopeError,
    NotAcceptableError,
    QueryError,
    QueryTimeoutError,
    ReaderBusyError,
    RefusedQueryError,
    SlowRequestError,
    StoreBusyError,
    StoreError,
    TooLargeError,
    UnknownEncodingError,
)
from common.api_keys import KeysUnavailableError
from common.errors import DhmonError
from common.problem import problem_response
from common.quota import QuotaSpentError

STATUS: dict[type[DhmonError], int] = {
    InvalidRequestError: 400,
    QueryError: 400,
    RefusedQueryError: 400,
    MissingKeyError: 401,
    MissingScopeError: 403,
    NotAcceptableError: 406,
    SlowRequestError: 408,
    BusyStoreError: 409,
    TooLargeError: 413,
    UnknownEncodingError: 415,
    QuotaSpentError: 429,
    IngestBusyError: 503,
    KeysUnavailableError: 503,
    ReaderBusyError: 503,
    StoreBusyError: 503,
    StoreError: 503,
    QueryTimeoutError: 504,
}
HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="dhmon"'},
    403: {"WWW-Authenticate": 'Bearer realm="dhmon", error="insufficient_scope"'},
    415: {"Accept-Encoding": "gzip, zstd"},
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
        headers = error.headers if isinstance(error, QuotaSpentError) else HEADERS.get(status)
        return problem_response(request, status, str(error), headers)
    except Exception:
        # The last edge: whatever it was, the caller gets an answer and the log the traceback.
        log.exception("request failed")
        return problem_response(request, 500, "an error of ours; the log has the details")
