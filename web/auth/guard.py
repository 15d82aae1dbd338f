"""Who is asking: the person of the session, as the users database has them now."""

import time
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp_session import Session, get_session, new_session

from common.observe import route_of
from web import keys
from web.errors import SignInError
from web.middlewares import prefers_json
from web.models import User
from web.sessions import signed_in
from web.users.queries import user_by_id

# What a page asks for by itself says so: it is no sign of a person, and keeps no session alive.
REFRESH = "refresh"
BY_ITSELF = "auto"


def guard(public: frozenset[str]) -> Middleware:
    """A middleware that keeps everybody out who is not signed in, but from the `public` routes."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if route_of(request) in public or request.match_info.http_exception is not None:
            return await handler(request)
        user = await person(request)
        if user is None:
            raise _refusal(request)
        if request.query.get(REFRESH) != BY_ITSELF:
            await request.app[keys.SESSIONS].keep_alive(await get_session(request))
        request[keys.USER] = user
        return await handler(request)

    return middleware


async def person(request: web.Request) -> User | None:
    """None for visitors, for disabled people, and after the password was changed."""
    session = await get_session(request)
    if session.empty:
        return None
    held = signed_in(session)
    user = await user_by_id(request.app[keys.DATABASE], held.user_id)
    if user is None or not user.is_enabled or user.password_changed_at != held.password_changed_at:
        session.invalidate()
        return None
    return user


async def sign_in(request: web.Request, user: User) -> None:
    """A session under a new id; what this browser had before ends (session fixation)."""
    old: Session = await get_session(request)
    if old.identity is not None:
        await request.app[keys.SESSIONS].end(old.identity)
    session = await new_session(request)
    session["user_id"] = user.id
    session["password_changed_at"] = user.password_changed_at.isoformat()
    session["started_at"] = time.time()


def _refusal(request: web.Request) -> Exception:
    if prefers_json(request):
        return SignInError(
            "this address", why="it is for people who are signed in", remedy="sign in at /login"
        )
    asked = str(request.rel_url.without_query_params(REFRESH))
    return web.HTTPSeeOther(f"/login?next={quote(asked, safe='/')}")
