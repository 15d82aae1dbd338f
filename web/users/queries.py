"""Everything that is asked of the users database."""

import unicodedata
from datetime import UTC, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError

from common.errors import DhmonError
from common.platform_report import UserCount
from web.db import Database
from web.models import Role, Tier, User

MAX_NAME_LENGTH = 64


class UserError(DhmonError):
    """A person cannot be added, found or changed."""


class NameTakenError(UserError):
    """Somebody has that name already."""


def folded(name: str) -> str:
    """The one spelling under which a name is kept."""
    return unicodedata.normalize("NFKC", name.strip()).casefold()


def is_name(name: str) -> bool:
    """Whether `name`, folded, can be somebody's."""
    return 0 < len(folded(name)) <= MAX_NAME_LENGTH and folded(name).isprintable()


async def user_by_name(database: Database, name: str) -> User | None:
    if not is_name(name):
        return None
    async with database() as session:
        return await session.scalar(_named(name))


async def user_by_id(database: Database, user_id: int) -> User | None:
    async with database() as session:
        return await session.get(User, user_id)


async def users(database: Database) -> list[User]:
    """All of them, by name."""
    async with database() as session:
        return list(await session.scalars(select(User).order_by(User.name)))


async def user_counts(database: Database) -> list[UserCount]:
    """How many there are of each role, tier and state."""
    groups = (User.role, User.tier, User.is_enabled)
    async with database() as session:
        rows = await session.execute(select(*groups, func.count()).group_by(*groups))
        return [
            UserCount(
                role=role, tier=tier, state="enabled" if is_enabled else "disabled", count=count
            )
            for role, tier, is_enabled, count in rows
        ]


async def add_user(
    database: Database, name: str, password_hash: str, *, role: Role, tier: Tier
) -> User:
    """Raises NameTakenError, or UserError when `name` is none."""
    if not is_name(name):
        raise UserError(
            f"the name {name!r}",
            why=f"it is not 1 to {MAX_NAME_LENGTH} printable characters",
            remedy="choose another",
        )
    now = datetime.now(UTC)
    user = User(
        name=folded(name),
        password_hash=password_hash,
        role=role,
        tier=tier,
        is_enabled=True,
        theme="system",
        created_at=now,
        password_changed_at=now,
    )
    try:
        async with database.begin() as session:
            session.add(user)
    except IntegrityError:
        raise NameTakenError(
            f"the name {folded(name)!r}", why="it is taken", remedy="choose another"
        ) from None
    return user


async def set_password(database: Database, name: str, password_hash: str) -> None:
    """Ends that person's sessions too. Raises UserError when there is no such person."""
    async with database.begin() as session:
        user = _must_exist(await session.scalar(_named(name)), name)
        user.password_hash = password_hash
        user.password_changed_at = datetime.now(UTC)


async def set_enabled(database: Database, name: str, *, is_enabled: bool) -> None:
    """Disabling ends that person's sessions. Raises UserError when there is no such person."""
    async with database.begin() as session:
        user = _must_exist(await session.scalar(_named(name)), name)
        user.is_enabled = is_enabled


async def note_login(database: Database, user_id: int, new_hash: str | None) -> None:
    """`new_hash`: the same password under today's parameters."""
    async with database.begin() as session:
        user = await session.get(User, user_id)
        if user is not None:
            user.last_login_at = datetime.now(UTC)
            user.password_hash = new_hash or user.password_hash


def _named(name: str) -> Select[User]:
    return select(User).where(User.name == folded(name))


def _must_exist(user: User | None, name: str) -> User:
    if user is None:
        raise UserError(
            f"the name {name!r}", why="it is nobody's", remedy="see `dhmon user list` for the names"
        )
    return user
