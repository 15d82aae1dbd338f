"""The first account of an installation: somebody has to be let in."""

import secrets

import msgspec

from web.auth.passwords import Passwords
from web.db import Database
from web.models import Role, Tier
from web.users.queries import NameTakenError, add_user, users

NAME = "admin"
# Without the letters and digits that are mistaken for one another.
ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
PASSWORD_LENGTH = 24


class FirstAdmin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`name` and `password` are there only when the account was made just now."""

    created: bool
    name: str | None = None
    password: str | None = None


async def ensure_first_admin(database: Database, passwords: Passwords) -> FirstAdmin:
    """Make an admin with a random password when there is nobody at all."""
    if await users(database):
        return FirstAdmin(created=False)
    password = "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LENGTH))
    password_hash = await passwords.hash(password)
    try:
        await add_user(database, NAME, password_hash, role=Role.ADMIN, tier=Tier.PREMIUM)
    except NameTakenError:
        # By another process at the same moment, which has told the password.
        return FirstAdmin(created=False)
    return FirstAdmin(created=True, name=NAME, password=password)
