"""Browser sessions: a random id in a cookie, everything else in Redis under the id's hash."""

import hashlib
import secrets
import time

import msgspec
from aiohttp import web
from aiohttp_session import AbstractStorage, Session
from redis.asyncio import Redis

from common.settings import WebSettings

PREFIX = "dhmon:session:"
# All sessions by the time at which they expire, so that they can be counted.
EXPIRIES = "dhmon:sessions"
ID_BYTES = 32


def cookie_name(settings: WebSettings) -> str:
    """Browsers keep a __Host- cookie to this host, this path and TLS."""
    return "__Host-dhmon_session" if is_secure(settings) else "dhmon_session"


def is_secure(settings: WebSettings) -> bool:
    return (settings.public_url or "").startswith("https://")


class SessionStorage(AbstractStorage):
    """Ends a session after idling, after its absolute age, or when its record is deleted."""

    def __init__(self, redis: Redis, settings: WebSettings) -> None:
        super().__init__(
            cookie_name=cookie_name(settings),
            max_age=int(settings.session_absolute_seconds),
            secure=is_secure(settings),
            httponly=True,
            samesite="Strict",
        )
        self._redis = redis
        self._idle = settings.session_idle_seconds
        self._absolute = settings.session_absolute_seconds

    async def load_session(self, request: web.Request) -> Session:
        """The session of the cookie, its idle time begun anew; an empty one without a record."""
        session_id = self.load_cookie(request)
        if not session_id:
            return self._empty()
        record = await self._redis.get(_key(session_id))
        if record is None:
            return self._empty()
        session = Session(
            session_id, data=msgspec.json.decode(record), new=False, max_age=self.max_age
        )
        if session.empty:
            await self.forget(session_id)
            return self._empty()
        await self._touch(session)
        return session

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: Session
    ) -> None:
        if session.empty:
            if session.identity is not None:
                await self.forget(session.identity)
            self.save_cookie(response, "", max_age=0)
            return
        session_id = session.identity or secrets.token_urlsafe(ID_BYTES)
        record = msgspec.json.encode(self._get_session_data(session))
        seconds = self._seconds_left(session)
        async with self._redis.pipeline() as pipeline:
            pipeline.set(_key(session_id), record, ex=seconds)
            pipeline.zadd(EXPIRIES, {_key(session_id): time.time() + seconds})
            await pipeline.execute()
        self.save_cookie(response, session_id, max_age=self.max_age)

    async def forget(self, session_id: str) -> None:
        """End a session on the server, whatever becomes of its cookie."""
        async with self._redis.pipeline() as pipeline:
            pipeline.delete(_key(session_id))
            pipeline.zrem(EXPIRIES, _key(session_id))
            await pipeline.execute()

    async def _touch(self, session: Session) -> None:
        seconds = self._seconds_left(session)
        async with self._redis.pipeline() as pipeline:
            pipeline.expire(_key(session.identity), seconds)
            pipeline.zadd(EXPIRIES, {_key(session.identity): time.time() + seconds})
            await pipeline.execute()

    def _seconds_left(self, session: Session) -> int:
        left = session.created + self._absolute - time.time()
        return max(1, int(min(self._idle, left)))

    def _empty(self) -> Session:
        return Session(None, data=None, new=True, max_age=self.max_age)


async def sessions_active(redis: Redis) -> int:
    """How many sessions have neither ended nor expired."""
    async with redis.pipeline() as pipeline:
        pipeline.zremrangebyscore(EXPIRIES, "-inf", time.time())
        pipeline.zcard(EXPIRIES)
        _, count = await pipeline.execute()
    return int(count)


def _key(session_id: object) -> str:
    """Only the hash is kept: who reads Redis cannot sign in with it."""
    return PREFIX + hashlib.sha256(str(session_id).encode()).hexdigest()
