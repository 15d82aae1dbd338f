"""Argon2id, away from the event loop."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.errors import DhmonError

Answer = TypeVar("Answer")
MIN_LENGTH = 12
MAX_LENGTH = 1024


class WeakPasswordError(DhmonError):
    """The password does not keep the one rule: its length (NIST SP 800-63B §3.1.1)."""


class Passwords:
    """Hashes and verifies in threads of its own; each hash takes tens of milliseconds of CPU."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")
        # Verified when nobody has the name, so that the time tells nothing.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """Raises WeakPasswordError when `password` is too short or too long."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise WeakPasswordError(
                "the password",
                why=f"has {len(password)} characters",
                remedy=f"choose one of {MIN_LENGTH} to {MAX_LENGTH}",
            )
        return await self._run(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether they match; as slow for None as for a hash."""
        matches = await self._run(self._matches, password_hash or self._nobody, password)
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password[: MAX_LENGTH + 1])
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., Answer], *arguments: str) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        self._threads.shutdown(wait=True)
