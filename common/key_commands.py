"""`dhmon key`: API keys, managed from a terminal, whether or not the services run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common import logs
from common.api_keys import (
    SCOPES,
    TIERS,
    ApiKey,
    KeyTier,
    Scope,
    create_key,
    list_keys,
    revoke_key,
)
from common.cli import config_option
from common.errors import DhmonError
from common.redis import RedisLink, open_redis
from common.settings import load

# The embedded server may have to be started first.
ANSWER_SECONDS = 10.0
PAUSE_SECONDS = 0.05

Outcome = TypeVar("Outcome")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def key() -> None:
    """Manage the keys of programs that send or read."""


@key.command()
@click.option("--name", required=True, help="What it is for, such as the program that gets it.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may do; can be given several times.",
)
@click.option("--user", help="Its owner: the publisher of events that name none.")
@click.option("--tier", type=click.Choice(TIERS), default="standard", show_default=True)
@json_option
@config_option
def create(
    name: str,
    scopes: tuple[Scope, ...],
    user: str | None,
    tier: KeyTier,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Make a key and print it: this once, it is kept as a hash."""

    async def work(redis: Redis) -> tuple[str, ApiKey]:
        return await create_key(redis, name=name, scopes=scopes, user=user, tier=tier)

    secret, made = _run(config_path, work)
    if as_json:
        click.echo(_json({"key": secret, "id": made.id}))
    else:
        click.echo(f"key: {secret}\nid:  {made.id}\nIt is not shown again.")


@key.command("list")
@json_option
@config_option
def list_command(as_json: bool, config_path: Path | None) -> None:
    """List all keys, the oldest first, without their secrets."""
    found = _run(config_path, list_keys)
    if as_json:
        click.echo(_json(found))
        return
    for one in found:
        state = f"revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else "valid"
        scopes = ",".join(sorted(one.scopes))
        click.echo(
            f"{one.id}  {one.name:<24} {scopes:<16} {one.tier:<9} {one.user or '-':<16} {state}"
        )


@key.command()
@click.argument("key_id", metavar="ID")
@config_option
def revoke(key_id: str, config_path: Path | None) -> None:
    """Refuse a key from now on, everywhere within a second."""

    async def work(redis: Redis) -> None:
        await revoke_key(redis, key_id)

    _run(config_path, work)
    click.echo(f"{key_id} is revoked")


def _run(config_path: Path | None, work: Callable[[Redis], Awaitable[Outcome]]) -> Outcome:
    settings = load(config_path)
    # What starts and ends beside this command is its own business, unless it fails.
    logs.configure(settings.log.model_copy(update={"level": "error"}), service="key")

    async def main() -> Outcome:
        async with open_redis(settings) as link:
            try:
                await _answer(link, ANSWER_SECONDS if settings.redis.url == "embedded" else 0)
                return await work(link.client)
            except (RedisError, OSError) as error:
                raise DhmonError(
                    f"redis at {link.address}",
                    why=f"does not answer: {error}",
                    remedy="start it, or correct redis.url",
                ) from None

    return asyncio.run(main())


async def _answer(link: RedisLink, seconds: float) -> None:
    """Wait until the server does. Raises RedisError or OSError when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await link.client.ping()
        except (RedisError, OSError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
