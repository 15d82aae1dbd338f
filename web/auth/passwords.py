"""Argon2id, away from the event loop."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.errors import DhmonError
from web.errors import BusyError

Answer = TypeVar("Answer")
MIN_LENGTH = 12
MAX_LENGTH = 1024
THREADS = 2
# A few seconds of work: who comes later is told so at once.
MAX_VERIFYING = 32


class WeakPasswordError(DhmonError):
    """The password does not keep the one rule: its length (NIST SP 800-63B §3.1.1)."""


class Passwords:
    """Hashes and verifies in threads of its own; each hash takes tens of milliseconds of CPU."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._verifying = 0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        # Verified when nobody has the name, so that the time tells nothing.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=True)

    async def hash(self, password: str) -> str:
        """Raises WeakPasswordError when `password` is too short or too long."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise WeakPasswordError(
                "the password",
                why=f"it has {len(password)} characters",
                remedy=f"choose one of {MIN_LENGTH} to {MAX_LENGTH}",
            )
        return await self._run(self._hasher.hash, _bytes(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether they match; as slow for None as for a hash.

        Raises BusyError while MAX_VERIFYING others are at it.
        """
        if self._verifying >= MAX_VERIFYING:
            raise BusyError(
                "signing in",
                why="too many people do so at this moment",
                remedy="try again in a few seconds",
            )
        # What is too long to be anybody's is cut to a length that is nobody's either.
        tried = _bytes(password[: MAX_LENGTH + 1])
        self._verifying += 1
        try:
            matches = await self._run(self._matches, password_hash or self._nobody, tried)
        finally:
            self._verifying -= 1
        return matches and password_hash is not None

    async def rehash(self, password_hash: str, password: str) -> str | None:
        """The same password under today's parameters; None when the hash has them already."""
        if not self._hasher.check_needs_rehash(password_hash):
            return None
        return await self._run(self._hasher.hash, _bytes(password))

    def _matches(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., Answer], *arguments: str | bytes) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _bytes(password: str) -> bytes:
    """One spelling: keyboards differ in how they compose an accented letter."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogateescape")
