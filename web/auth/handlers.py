"""Signing in and out."""

from urllib.parse import urlsplit

import aiohttp_jinja2
import structlog
from aiohttp import web
from aiohttp_session import get_session, new_session

from web import keys
from web.auth.guard import person, remember
from web.models import User
from web.users.queries import MAX_NAME_LENGTH, note_login, user_by_name

HOME = "/admin/dashboard"
WRONG = "The name or the password is not right."
TEMPLATE = "auth/templates/login.html"
log = structlog.get_logger(__name__)


async def root(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(HOME)


async def login_page(request: web.Request) -> web.Response:
    following = local_path(request.query.get("next"))
    if await person(request) is not None:
        raise web.HTTPSeeOther(following)
    return _page(request, name="", following=following)


async def login(request: web.Request) -> web.Response:
    """A new session on success; the old one, if there was any, ends."""
    form = await request.post()
    name, password = form.get("name"), form.get("password")
    following = local_path(form.get("next"))
    if not isinstance(name, str) or not isinstance(password, str):
        raise web.HTTPBadRequest(text="A name and a password are needed.")
    user = await _authenticated(request, name[: MAX_NAME_LENGTH + 1], password)
    if user is None:
        log.warning("login failed", authentication_failed=True, peer=request.remote)
        return _page(request, name=name[:MAX_NAME_LENGTH], following=following, error=WRONG)
    old = await get_session(request)
    if old.identity is not None:
        await request.config_dict[keys.SESSIONS].forget(old.identity)
    remember(await new_session(request), user)
    log.info("login", user_id=user.id, peer=request.remote)
    raise web.HTTPSeeOther(following)


async def logout(request: web.Request) -> web.Response:
    session = await get_session(request)
    session.invalidate()
    raise web.HTTPSeeOther("/login")


def local_path(address: object) -> str:
    """`address` when it is a path of ours, else the dashboard: nobody is sent elsewhere."""
    if not isinstance(address, str) or not address.isprintable():
        return HOME
    parts = urlsplit(address)
    # Browsers read "//host" and "/\\host" as another host.
    if parts.scheme or parts.netloc or not address.startswith("/") or address[1:2] in ("/", "\\"):
        return HOME
    return address


async def _authenticated(request: web.Request, name: str, password: str) -> User | None:
    database, passwords = request.config_dict[keys.DATABASE], request.config_dict[keys.PASSWORDS]
    user = await user_by_name(database, name)
    password_hash = user.password_hash if user is not None else None
    matches = await passwords.verify(password_hash, password)
    if user is None or not matches or not user.is_enabled:
        return None
    outdated = passwords.is_outdated(user.password_hash)
    await note_login(database, user.id, await passwords.hash(password) if outdated else None)
    return user


def _page(request: web.Request, *, name: str, following: str, error: str = "") -> web.Response:
    values = {"name": name, "next": following, "error": error}
    return aiohttp_jinja2.render_template(TEMPLATE, request, values, status=401 if error else 200)
