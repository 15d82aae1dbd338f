"""Who is asking: the person of the session, as the users database has them now."""

from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_session import Session, get_session

from web import keys
from web.middlewares import wants_json
from web.models import User
from web.users.queries import user_by_id

USER = web.RequestKey("USER", User)
USER_ID = "user_id"
PASSWORD_CHANGED_AT = "password_changed_at"  # noqa: S105 - the name of a field


async def person(request: web.Request) -> User | None:
    """None for visitors, for disabled people, and after the password was changed."""
    session = await get_session(request)
    if USER_ID not in session:
        return None
    user = await user_by_id(request.config_dict[keys.DATABASE], session[USER_ID])
    if user is None or not user.is_enabled or session[PASSWORD_CHANGED_AT] != _stamp(user):
        session.invalidate()
        return None
    return user


def remember(session: Session, user: User) -> None:
    session[USER_ID] = user.id
    session[PASSWORD_CHANGED_AT] = _stamp(user)


def _stamp(user: User) -> str:
    return user.password_changed_at.isoformat()


def signed_in(handler: Handler) -> Handler:
    """`handler` for people with a session; it finds them under `request[USER]`."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        user = await person(request)
        if user is None:
            if wants_json(request):
                raise web.HTTPUnauthorized(text="Sign in first.")
            raise web.HTTPSeeOther(f"/login?next={quote(request.path_qs, safe='')}")
        request[USER] = user
        return await handler(request)

    return guarded
