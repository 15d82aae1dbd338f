"""`dhmon user`: people, managed from a terminal, whether or not the web app runs."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from common.cli import config_option
from common.settings import load
from web.auth.passwords import Passwords
from web.db import Database, open_database
from web.models import Role, Tier, User
from web.users.first_admin import ensure_first_admin
from web.users.queries import add_user, set_enabled, set_password, users

Outcome = TypeVar("Outcome")
Work = Callable[[Database, Passwords], Coroutine[None, None, Outcome]]
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


class UserLine(msgspec.Struct, frozen=True, kw_only=True):
    """What `user list --json` says of each."""

    id: int
    name: str
    role: str
    tier: str
    state: str
    created_at: str
    last_login_at: str | None


@click.group()
def user() -> None:
    """Manage the people who may sign in."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option(
    "--tier",
    type=click.Choice([tier.value for tier in Tier]),
    default=Tier.STANDARD.value,
    show_default=True,
)
@stdin_option
@json_option
@config_option
def add(
    name: str,
    role: Role,
    tier: Tier,
    password_stdin: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Add a person."""
    password = _ask_password(from_stdin=password_stdin)

    async def work(database: Database, passwords: Passwords) -> User:
        password_hash = await passwords.hash(password)
        return await add_user(database, name, password_hash, role=Role(role), tier=Tier(tier))

    added = _run(config_path, work)
    click.echo(_json(_line(added)) if as_json else f"added {added.name} ({added.role})")


@user.command("list")
@json_option
@config_option
def list_users(as_json: bool, config_path: Path | None) -> None:
    """List everybody."""

    async def work(database: Database, passwords: Passwords) -> list[User]:
        return await users(database)

    lines = [_line(found) for found in _run(config_path, work)]
    if as_json:
        click.echo(_json(lines))
        return
    for line in lines:
        last = line.last_login_at or "never signed in"
        click.echo(f"{line.name:<24} {line.role:<9} {line.tier:<9} {line.state:<9} {last}")


@user.command()
@click.argument("name")
@stdin_option
@config_option
def passwd(name: str, password_stdin: bool, config_path: Path | None) -> None:
    """Set a new password; ends that person's sessions."""
    password = _ask_password(from_stdin=password_stdin)

    async def work(database: Database, passwords: Passwords) -> None:
        await set_password(database, name, await passwords.hash(password))

    _run(config_path, work)
    click.echo(f"the password of {name} is changed")


@user.command()
@click.argument("name")
@config_option
def enable(name: str, config_path: Path | None) -> None:
    """Let a person sign in again."""
    _set_enabled(name, config_path, is_enabled=True)


@user.command()
@click.argument("name")
@config_option
def disable(name: str, config_path: Path | None) -> None:
    """Keep a person out; ends their sessions."""
    _set_enabled(name, config_path, is_enabled=False)


@user.command("first-admin")
@json_option
@config_option
def first_admin(as_json: bool, config_path: Path | None) -> None:
    """Make an admin with a random password when there is nobody yet."""
    outcome = _run(config_path, ensure_first_admin)
    if as_json:
        click.echo(_json(outcome))
    elif outcome.created:
        click.echo(f"name: {outcome.name}\npassword: {outcome.password}")
    else:
        click.echo("there are accounts already: nothing to do")


def _set_enabled(name: str, config_path: Path | None, *, is_enabled: bool) -> None:
    async def work(database: Database, passwords: Passwords) -> None:
        await set_enabled(database, name, is_enabled=is_enabled)

    _run(config_path, work)
    click.echo(f"{name} is {'enabled' if is_enabled else 'disabled'}")


def _run(config_path: Path | None, work: Work[Outcome]) -> Outcome:
    settings = load(config_path)

    async def main() -> Outcome:
        with Passwords() as passwords:
            async with open_database(settings.web.database) as database:
                return await work(database, passwords)

    return asyncio.run(main())


def _ask_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked


def _line(found: User) -> UserLine:
    last = found.last_login_at
    return UserLine(
        id=found.id,
        name=found.name,
        role=found.role,
        tier=found.tier,
        state="enabled" if found.is_enabled else "disabled",
        created_at=found.created_at.isoformat(timespec="seconds"),
        last_login_at=last.isoformat(timespec="seconds") if last else None,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
