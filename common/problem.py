"""Errors over HTTP: RFC 9457 problem details for programs."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from common.logs import request_id


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error (RFC 9457 §3.1) and the id under which the log knows the request."""

    title: str
    status: int
    detail: str = ""
    instance: str = ""
    type: str = "about:blank"
    request_id: str | None = None


def problem_response(
    request: web.Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.path,
        request_id=request_id.get(),
    )
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=headers,
    )
