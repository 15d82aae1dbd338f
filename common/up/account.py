"""The first account, made by the web app's own command before the web app starts."""

import asyncio
from collections.abc import Mapping

import msgspec

from common.errors import DhmonError, UsageError


class FirstAdmin(msgspec.Struct, frozen=True, kw_only=True):
    """What `dhmon user first-admin --json` prints."""

    created: bool
    name: str = ""
    password: str = ""


async def first_admin(command: tuple[str, ...], environment: Mapping[str, str]) -> FirstAdmin:
    """Run the command once. Raises DhmonError with its last words when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    answer, said = await process.communicate()
    if process.returncode == 0:
        return msgspec.json.decode(answer, type=FirstAdmin)
    last_words = said.decode(errors="replace").strip().rpartition("\n")[2]
    kind = UsageError if process.returncode == UsageError.exit_code else DhmonError
    raise kind(
        "the first account cannot be made",
        why=last_words.removeprefix("dhmon: ") or "its command said nothing",
        remedy="correct that and start again",
    )
