"""API keys: made once, shown once, kept in Redis as a hash of their secret.

A key is `dhm_<id>_<secret>`. The secret has 192 random bits, so one round of SHA-256 protects it.
"""

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, cast, get_args

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.errors import DhmonError, UsageError
from common.redis import RedisLink

Scope = Literal["ingest", "read", "sql"]
KeyTier = Literal["free", "standard", "premium", "unlimited"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
TIERS: tuple[KeyTier, ...] = get_args(KeyTier)
PATTERN = re.compile(r"dhm_[0-9a-f]{12}_[0-9a-f]{48}")
MAX_TEXT_CHARACTERS = 256
KEY = "dhmon:key:"
# The ids of all keys: Redis holds sessions too, and a scan would go through them.
KEY_IDS = "dhmon:keys"
CACHE_SECONDS = 1.0
# A good key in use is asked for again before that, so that nobody waits for the answer.
REFRESH_SECONDS = 0.7
MAX_CACHED = 10_000
# Keys that were never seen here, a second: guessing costs Redis no more than this.
MAX_STRANGERS = 200
LOOK_UP_SECONDS = 1.0


class KeysUnavailableError(DhmonError):
    """Whether a key is good cannot be known now."""


class UnknownKeyError(DhmonError):
    """There is no key with this id."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key; `user` is its owner's name, None for a key of the platform."""

    id: str
    name: str
    scopes: frozenset[Scope]
    user: str | None
    tier: KeyTier
    created_at: datetime
    revoked_at: datetime | None = None


async def create_key(
    redis: Redis,
    *,
    name: str,
    scopes: Iterable[Scope],
    user: str | None = None,
    tier: KeyTier = "standard",
) -> tuple[str, ApiKey]:
    """Make a key and keep its hash; the key itself is only ever in what this returns.

    Raises UsageError for a name or an owner that is none.
    """
    _check_text("--name", name)
    if user is not None:
        _check_text("--user", user)
    key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
    made = ApiKey(
        id=key_id,
        name=name,
        scopes=frozenset(scopes),
        user=user,
        tier=tier,
        created_at=datetime.now(UTC),
    )
    record: dict[Any, Any] = {
        "hash": _hash(secret),
        "name": name,
        "scopes": ",".join(sorted(made.scopes)),
        "user": user or "",
        "tier": tier,
        "created_at": made.created_at.isoformat(),
    }
    async with redis.pipeline(transaction=True) as commands:
        commands.hset(KEY + key_id, mapping=record)
        commands.sadd(KEY_IDS, key_id)
        await commands.execute()
    return f"dhm_{key_id}_{secret}", made


async def list_keys(redis: Redis) -> list[ApiKey]:
    """All keys, revoked ones too, the oldest first."""
    members = await cast("Awaitable[set[bytes]]", redis.smembers(KEY_IDS))
    ids = [member.decode() for member in members]
    async with redis.pipeline(transaction=False) as commands:
        for key_id in ids:
            commands.hgetall(KEY + key_id)
        records = await commands.execute()
    found = [_key(key_id, record) for key_id, record in zip(ids, records, strict=True) if record]
    return sorted(found, key=lambda key: key.created_at)


async def revoke_key(redis: Redis, key_id: str) -> None:
    """From a second later the key is refused everywhere. Raises UnknownKeyError."""
    if not await redis.exists(KEY + key_id):
        raise UnknownKeyError(key_id, why="is no key's id", remedy="see `dhmon key list`")
    now = datetime.now(UTC).isoformat()
    await redis.hsetnx(KEY + key_id, "revoked_at", now)


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out about one key, and until when that holds (monotonic seconds)."""

    key: ApiKey | None
    until: float


class ApiKeys:
    """Tells whose a key is; asks Redis at most once a second for each."""

    def __init__(self, link: RedisLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        # By the hash of the whole key, so that finding it tells nothing about its characters.
        self._good: dict[bytes, Known] = {}
        self._bad: dict[bytes, Known] = {}
        self._asking: dict[bytes, asyncio.Task[ApiKey | None]] = {}
        self._strangers = (0.0, 0)

    async def identify(self, given: str) -> ApiKey | None:
        """The key, or None when it is wrong or revoked.

        Raises KeysUnavailableError when Redis does not answer, or is asked for too many keys.
        """
        digest = sha256(given.encode("utf-8", "surrogateescape")).digest()
        known = self._good.get(digest) or self._bad.get(digest)
        if known is not None and known.until > (now := self._clock()):
            if known.key and known.until - now < CACHE_SECONDS - REFRESH_SECONDS:
                self._asked(digest, given)
            return known.key
        if PATTERN.fullmatch(given) is None:
            return None
        # Shielded: others wait for the same answer.
        return await asyncio.shield(self._asked(digest, given))

    def _asked(self, digest: bytes, given: str) -> asyncio.Task[ApiKey | None]:
        asking = self._asking.get(digest)
        if asking is None:
            if digest not in self._good:
                self._refuse_many_strangers()
            _, key_id, secret = given.split("_")
            asking = asyncio.create_task(self._ask(digest, key_id, secret))
            asking.add_done_callback(_heard)
            self._asking[digest] = asking
        return asking

    async def _ask(self, digest: bytes, key_id: str, secret: str) -> ApiKey | None:
        try:
            key = await self._look_up(key_id, secret)
        finally:
            del self._asking[digest]
        known = Known(key, self._clock() + CACHE_SECONDS)
        (self._bad if key else self._good).pop(digest, None)
        cache = self._good if key else self._bad
        if len(cache) >= MAX_CACHED and digest not in cache:
            del cache[next(iter(cache))]
        cache[digest] = known
        return key

    async def _look_up(self, key_id: str, secret: str) -> ApiKey | None:
        if self._link.is_up is False:
            raise self._unavailable("redis does not answer")
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                record = await cast(
                    "Awaitable[dict[bytes, bytes]]", self._link.client.hgetall(KEY + key_id)
                )
        except TimeoutError:
            raise self._unavailable(f"redis did not answer within {LOOK_UP_SECONDS:g} s") from None
        except (RedisError, OSError) as error:
            raise self._unavailable(f"redis does not answer: {error}") from None
        if not hmac.compare_digest(_hash(secret).encode(), record.get(b"hash", b"")):
            return None
        key = _key(key_id, record)
        return None if key.revoked_at else key

    def _refuse_many_strangers(self) -> None:
        since, count = self._strangers
        now = self._clock()
        if now - since >= 1:
            since, count = now, 0
        if count >= MAX_STRANGERS:
            raise self._unavailable("too many unknown keys are being tried")
        self._strangers = (since, count + 1)

    def _unavailable(self, why: str) -> KeysUnavailableError:
        return KeysUnavailableError(
            "your key", why=f"cannot be checked: {why}", remedy="send the request again in a second"
        )


def _check_text(option: str, text: str) -> None:
    if not (text.isprintable() and 0 < len(text.strip()) == len(text) <= MAX_TEXT_CHARACTERS):
        raise UsageError(
            option,
            why=f"is not 1 to {MAX_TEXT_CHARACTERS} printable characters",
            remedy="give another",
        )


def _heard(asked: asyncio.Task[ApiKey | None]) -> None:
    """Those who asked may have gone: then its error is nobody's."""
    if not asked.cancelled():
        asked.exception()


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _key(key_id: str, record: dict[bytes, bytes]) -> ApiKey:
    fields = {name.decode(): value.decode() for name, value in record.items()}
    revoked = fields.get("revoked_at")
    tier = fields["tier"]
    return ApiKey(
        id=key_id,
        name=fields["name"],
        scopes=frozenset(scope for scope in SCOPES if scope in fields["scopes"].split(",")),
        user=fields["user"] or None,
        # A tier of a newer version: the least, not everything.
        tier=tier if tier in TIERS else "free",
        created_at=datetime.fromisoformat(fields["created_at"]),
        revoked_at=datetime.fromisoformat(revoked) if revoked else None,
    )
