"""Waiting for parts, the first account, the banner."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import DhmonError, UsageError
from common.settings import LogSettings, Settings, WebSettings, load
from common.up.account import FirstAdmin, first_admin
from common.up.banner import Addresses, account_only, banner
from common.up.parts import addresses, environment, log_settings, part
from common.up.waiting import wait_until_answered

ADMIN = FirstAdmin(created=True, name="admin", password="s3cret")  # noqa: S106 - of nobody
ADDRESSES = Addresses(web="http://w:1", collector="http://c:2", prometheus="http://p:3")


class Part:
    """A part that is not well for the first requests."""

    def __init__(self, *statuses: str) -> None:
        self.requests: list[bytes] = []
        self._statuses = list(statuses)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {self._statuses.pop(0)}\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def ailing() -> AsyncIterator[tuple[Part, str]]:
    """A part, and its address."""
    being = Part("503 Service Unavailable", "500 Internal Server Error", "200 OK")
    async with await asyncio.start_server(being.answer, "127.0.0.1", 0) as server:
        yield being, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def command(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_it_waits_until_a_part_is_well_and_says_so_meanwhile(
    ailing: tuple[Part, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.up.waiting.FIRST_WORD_SECONDS", 0.0)
    being, address = ailing
    said: list[str] = []

    await wait_until_answered("the collector", address, "/healthz", said.append)

    assert len(being.requests) == 3
    assert being.requests[0].startswith(b"GET /healthz HTTP/1.0\r\n")
    assert said == ["waiting for the collector … 0 s"] * 2


async def test_it_says_nothing_when_it_is_quick(
    ailing: tuple[Part, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.up.waiting.FIRST_WORD_SECONDS", 3600.0)
    said: list[str] = []

    await wait_until_answered("the collector", ailing[1], "/healthz", said.append)

    assert said == []


async def test_the_first_account_is_read_from_its_command() -> None:
    made = command('print(\'{"created": true, "name": "admin", "password": "s3cret"}\')')
    there = command("print('{\"created\": false}')")

    assert await first_admin(made, os.environ) == ADMIN
    assert await first_admin(there, os.environ) == FirstAdmin(created=False)


@pytest.mark.parametrize(("exit_code", "kind"), [(1, DhmonError), (2, UsageError)])
async def test_an_account_that_cannot_be_made_is_an_error_with_the_reason(
    exit_code: int, kind: type[DhmonError]
) -> None:
    failing = command(
        "import sys; print('noise', file=sys.stderr);"
        "print('dhmon: web.db: it is newer than this code', file=sys.stderr);"
        f"sys.exit({exit_code})"
    )

    with pytest.raises(DhmonError) as caught:
        await first_admin(failing, os.environ)

    assert type(caught.value) is kind
    assert caught.value.why == "web.db: it is newer than this code"


def test_the_banner_tells_the_addresses() -> None:
    text = banner(ADDRESSES, None)

    assert all(address in text for address in ("http://w:1", "http://c:2", "http://p:3"))
    assert "Password" not in text


def test_the_banner_tells_the_first_password() -> None:
    assert "Password     s3cret" in banner(ADDRESSES, ADMIN)
    assert "Password     s3cret" in account_only(ADMIN)


def test_the_banner_says_that_prometheus_does_not_run() -> None:
    addresses_without = Addresses(web="http://w:1", collector="http://c:2", prometheus=None)

    assert "Prometheus   does not run here" in banner(addresses_without, None)


def test_the_address_is_the_one_that_people_type() -> None:
    public = Settings(web=WebSettings(public_url="https://monitor.example"))

    assert addresses(public, has_prometheus=False).web == "https://monitor.example"
    assert addresses(Settings(), has_prometheus=True) == Addresses(
        web="http://127.0.0.1:8080",
        collector="http://127.0.0.1:8090",
        prometheus="http://127.0.0.1:9090",
    )


def test_lines_are_for_people_unless_a_format_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DHMON_LOG__FORMAT", raising=False)
    (tmp_path / "monitor.toml").write_text('[log]\nlevel = "debug"\n')
    silent_about_it = load(tmp_path / "monitor.toml")
    asked = Settings(log=LogSettings(format="json"))

    assert log_settings(silent_about_it) == LogSettings(level="debug", format="console")
    assert environment(silent_about_it)["DHMON_LOG__FORMAT"] == "console"
    assert environment(asked)["DHMON_LOG__FORMAT"] == "json"


def test_a_part_is_called_with_the_same_configuration() -> None:
    given = part("web", Settings(), Path("here.toml")).command
    default = part("web", Settings(), None).command

    assert given[-2:] == ("web", "--config=here.toml")
    assert default[-1] == "web"
