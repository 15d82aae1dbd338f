"""Signing in and out."""

import re
from typing import cast

import aiohttp_jinja2
import structlog
from aiohttp import web
from aiohttp_session import get_session

from web import keys
from web.auth.guard import person, sign_in
from web.models import User
from web.users.queries import MAX_NAME_LENGTH, note_login, user_by_name

HOME = "/admin/dashboard"
WRONG = "The name or the password is not right."
FORM_TYPE = "application/x-www-form-urlencoded"
# One slash, then visible ASCII: browsers read "//host" and "/\host" as another host.
LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
log = structlog.get_logger(__name__)


async def root(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther("/login" if await person(request) is None else HOME)


async def login_page(request: web.Request) -> web.Response:
    following = local_path(request.query.get("next", ""))
    if await person(request) is not None:
        raise web.HTTPSeeOther(following)
    return _page(request, name="", following=following)


async def login(request: web.Request) -> web.Response:
    form = await _form(request)
    name, following = form.get("name", ""), local_path(form.get("next", ""))
    user = await _authenticated(request, name, form.get("password", ""))
    if user is None:
        # Without the name: it may be a password that was typed into the wrong field.
        log.warning("sign-in refused", peer=request.remote)
        return _page(request, name=name[:MAX_NAME_LENGTH], following=following, problem=WRONG)
    await sign_in(request, user)
    log.info("signed in", user_id=user.id, peer=request.remote)
    raise web.HTTPSeeOther(following)


async def logout(request: web.Request) -> web.Response:
    session = await get_session(request)
    session.invalidate()
    raise web.HTTPSeeOther("/login")


def local_path(address: str) -> str:
    """`address` when it is a path of ours, else the dashboard: nobody is sent elsewhere."""
    return address if LOCAL_PATH.fullmatch(address) else HOME


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a plain form.

    Raises 415 for anything else, 413 when it is too long, 400 when it does not arrive whole.
    """
    if request.content_type != FORM_TYPE or (request.charset or "utf-8").lower() != "utf-8":
        raise web.HTTPUnsupportedMediaType(text="This address takes a form, in UTF-8.")
    try:
        fields = await request.post()
    except (web.RequestPayloadError, ConnectionError):
        raise web.HTTPBadRequest(text="The form did not arrive whole.") from None
    # A form of this type has text in it, never files.
    return dict(cast("dict[str, str]", fields))


async def _authenticated(request: web.Request, name: str, password: str) -> User | None:
    database, passwords = request.app[keys.DATABASE], request.app[keys.PASSWORDS]
    user = await user_by_name(database, name)
    matches = await passwords.verify(user.password_hash if user else None, password)
    if user is None or not matches or not user.is_enabled:
        return None
    await note_login(database, user.id, await passwords.rehash(user.password_hash, password))
    return user


def _page(request: web.Request, *, name: str, following: str, problem: str = "") -> web.Response:
    page = {"name": name, "next": following, "problem": problem}
    status = 401 if problem else 200
    return aiohttp_jinja2.render_template("login.html", request, page, status=status)
