"""Browser sessions: a random id in a cookie, everything else in Redis under the id's hash."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
from aiohttp import web
from aiohttp_session import Session, SessionData
from aiohttp_session.redis_storage import RedisStorage
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.settings import WebSettings
from web.errors import SessionsAwayError

PREFIX = "dhmon:session:"
# All sessions by the time at which they expire, so that they can be counted.
EXPIRIES = "dhmon:sessions"
ID_BYTES = 32
ID_CHARACTERS = 43
ANSWER_SECONDS = 3.0


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a session holds; `password_changed_at` is the person's, as it was at sign-in.

    `started_at` is in seconds since 1970, so that the absolute limit needs no look at the cookie.
    """

    user_id: int
    password_changed_at: datetime
    started_at: float


class _Record(msgspec.Struct, frozen=True):
    created: int
    session: SignedIn


class SessionStorage(RedisStorage):
    """Sessions that end when they idle, at their absolute limit, or when they are deleted.

    Every method raises SessionsAwayError when Redis does not answer.
    """

    def __init__(self, client: Redis, settings: WebSettings) -> None:
        super().__init__(
            client,
            cookie_name=cookie_name(settings),
            secure=is_secure(settings),
            httponly=True,
            samesite="Strict",
        )
        self._client = client
        self._idle_seconds = settings.session_idle_seconds
        self._absolute_seconds = settings.session_absolute_seconds

    async def load_session(self, request: web.Request) -> Session:
        """The session of the cookie; an empty new one for visitors, who leave no trace here."""
        session_id = self.load_cookie(request) or ""
        if len(session_id) != ID_CHARACTERS:
            return await self.new_session()
        async with _redis_answers():
            body = await self._client.get(_key(session_id))
        record = _decode(body)
        if record is None:
            return await self.new_session()
        if self._lifetime(record.session) <= 0:
            await self.end(session_id)
            return await self.new_session()
        held = msgspec.to_builtins(record.session)
        data = SessionData(created=record.created, session=held)
        return Session(session_id, data=data, new=False)

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: Session
    ) -> None:
        if session.empty:
            if session.identity is not None:
                await self.end(session.identity)
            self._forget_cookie(response)
            return
        session_id = session.identity or secrets.token_urlsafe(ID_BYTES)
        key = _key(session_id)
        lifetime = self._lifetime(signed_in(session))
        record = msgspec.json.encode(self._get_session_data(session))
        async with _redis_answers(), self._client.pipeline() as pipeline:
            pipeline.set(key, record, px=_milliseconds(lifetime))
            pipeline.zadd(EXPIRIES, {key: time.time() + lifetime})
            await pipeline.execute()
        self.save_cookie(response, session_id)

    async def keep_alive(self, session: Session) -> None:
        """Begin the idle time anew; the absolute limit stays."""
        key = _key(session.identity)
        lifetime = self._lifetime(signed_in(session))
        async with _redis_answers(), self._client.pipeline() as pipeline:
            pipeline.pexpire(key, _milliseconds(lifetime))
            # Only when it is still there: a sign-out at the same moment wins.
            pipeline.zadd(EXPIRIES, {key: time.time() + lifetime}, xx=True)
            await pipeline.execute()

    async def end(self, session_id: str) -> None:
        """End a session on the server, whatever becomes of its cookie."""
        async with _redis_answers(), self._client.pipeline() as pipeline:
            pipeline.delete(_key(session_id))
            pipeline.zrem(EXPIRIES, _key(session_id))
            await pipeline.execute()

    async def count(self) -> int:
        """How many sessions have neither ended nor expired."""
        async with _redis_answers(), self._client.pipeline() as pipeline:
            pipeline.zremrangebyscore(EXPIRIES, "-inf", time.time())
            pipeline.zcard(EXPIRIES)
            _, count = await pipeline.execute()
        return int(count)

    def _lifetime(self, held: SignedIn) -> float:
        """Seconds until it ends if nothing more is asked for."""
        return min(self._idle_seconds, held.started_at + self._absolute_seconds - time.time())

    def _forget_cookie(self, response: web.StreamResponse) -> None:
        # Browsers refuse to touch a __Host- cookie without the attributes that it was made with.
        response.del_cookie(
            self.cookie_name,
            path="/",
            secure=self.cookie_params["secure"],
            httponly=True,
            samesite="Strict",
        )


def cookie_name(settings: WebSettings) -> str:
    """Browsers keep a __Host- cookie to this host, this path and TLS."""
    return "__Host-dhmon_session" if is_secure(settings) else "dhmon_session"


def is_secure(settings: WebSettings) -> bool:
    return (settings.public_url or "").startswith("https://")


def signed_in(session: Session) -> SignedIn:
    """What `session`, which is not empty, holds."""
    return msgspec.convert(dict(session), SignedIn)


def _decode(body: bytes | str | None) -> _Record | None:
    """None for what is not a record of ours: nobody is let in by it."""
    if body is None:
        return None
    try:
        return msgspec.json.decode(body, type=_Record)
    except msgspec.DecodeError:
        return None


def _key(session_id: object) -> str:
    """Only the hash is kept: who reads Redis cannot sign in with it."""
    return PREFIX + hashlib.sha256(str(session_id).encode()).hexdigest()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


@asynccontextmanager
async def _redis_answers() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except (RedisError, OSError) as error:
        raise SessionsAwayError(
            "the session store",
            why="it does not answer, so nobody can be signed in or out",
            remedy="it is being retried; try again in a moment",
        ) from error
