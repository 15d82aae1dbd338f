"""The link to a real server that comes, goes and hangs."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Never

import pytest
import structlog

from common.errors import UsageError
from common.health import CheckFailed
from common.redis import RedisLink, open_redis
from common.settings import CollectorSettings, RedisSettings, Settings
from common.valkey import server_binary
from tests.servers.eventually import eventually
from tests.servers.ports import free_ports
from tests.servers.process import running

PASSWORD = "open-sesame"  # noqa: S105 - of a server that lives for one test


class Server:
    """A Valkey with a password on a port of its own, started and stopped at will."""

    def __init__(self, folder: Path) -> None:
        [self.port] = free_ports(1)
        self._folder = folder

    @property
    def settings(self) -> Settings:
        url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        return Settings(redis=RedisSettings(url=url))

    def run(self) -> AbstractContextManager[int]:
        return _running(self.port, self._folder)


@contextmanager
def _running(port: int, folder: Path) -> Iterator[int]:
    """Yields the server's process number."""
    options = ["--port", str(port), "--requirepass", PASSWORD, "--dir", str(folder), "--save", ""]
    log, ready = folder / "server.log", r"(?s)pid=(\d+), just.*Ready to accept"
    with running([server_binary(), *options], log=log, ready=ready) as found:
        yield int(found[1])


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


async def until(link: RedisLink, *, is_up: bool) -> None:
    async def look() -> bool | None:
        return link.is_up

    assert await eventually(look, lambda seen: seen is is_up) is is_up


async def test_it_opens_while_the_server_is_away_and_comes_up_with_it(server: Server) -> None:
    with structlog.testing.capture_logs() as logs:
        async with open_redis(server.settings) as link:
            await until(link, is_up=False)
            with pytest.raises(CheckFailed) as caught:
                await link.check()
            with server.run():
                await until(link, is_up=True)
                detail = await link.check()

    assert f"redis at 127.0.0.1:{server.port}: " in str(caught.value)
    assert "being retried" in str(caught.value)
    assert detail.startswith("valkey 9.")
    assert detail.endswith(f" at 127.0.0.1:{server.port}")
    assert PASSWORD not in detail + str(caught.value) + str(logs)


async def test_each_change_is_said_once_however_many_tries_fail(server: Server) -> None:
    with structlog.testing.capture_logs() as logs:
        with server.run():
            async with open_redis(server.settings) as link:
                await until(link, is_up=True)
                said_while_up = [line["event"] for line in logs]
        async with open_redis(server.settings) as link:
            for _ in range(5):
                with pytest.raises(CheckFailed):
                    await link.check()
            with server.run():
                await until(link, is_up=True)

    assert said_while_up == []
    assert [line["event"] for line in logs] == ["redis lost", "redis back"]


async def test_a_client_works_again_after_the_server_was_restarted(server: Server) -> None:
    with structlog.testing.capture_logs() as logs:
        async with open_redis(server.settings) as link:
            with server.run():
                await until(link, is_up=True)
                await link.client.set("session", b"\xff")
            await until(link, is_up=False)
            with server.run():
                await until(link, is_up=True)
                await link.client.set("session", b"\xff")
                stored = await link.client.get("session")

    assert stored == b"\xff"
    assert [line["event"] for line in logs][-2:] == ["redis lost", "redis back"]


async def test_a_server_that_hangs_fails_the_check_in_time(server: Server) -> None:
    with server.run() as pid:
        async with open_redis(server.settings) as link:
            await until(link, is_up=True)
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(CheckFailed, match=r"no answer within 1\.5 s; being retried"):
                    await link.check()
            finally:
                os.kill(pid, signal.SIGCONT)
            detail = await link.check()

    assert detail.startswith("valkey")


async def test_a_loop_that_uses_it_ends_when_it_is_cancelled_at_any_moment(server: Server) -> None:
    with server.run():
        async with open_redis(server.settings) as link:
            await until(link, is_up=True)
            survivors = [steps for steps in range(60) if not await _ends(link, steps)]

    assert survivors == []


async def _ends(link: RedisLink, steps: int) -> bool:
    """Whether a loop ends that is cancelled after so many steps of the event loop."""
    commands = asyncio.create_task(_keep_asking(link))
    for _ in range(steps):
        await asyncio.sleep(0)
    commands.cancel()
    for _ in range(20):
        await link.client.ping()
    has_ended = commands.done()
    while not commands.done():
        commands.cancel()
        await link.client.ping()
    return has_ended


async def _keep_asking(link: RedisLink) -> Never:
    while True:
        await link.client.ping()


async def test_a_wrong_password_is_told_without_it(server: Server) -> None:
    url = server.settings.redis.url.replace(PASSWORD, "wrong-sesame")
    with server.run():
        async with open_redis(Settings(redis=RedisSettings(url=url))) as link:
            with pytest.raises(CheckFailed) as caught:
                await link.check()

    assert "password" in str(caught.value)
    assert "wrong-sesame" not in str(caught.value)


async def test_a_url_that_cannot_be_read_is_refused_without_quoting_it() -> None:
    settings = Settings(redis=RedisSettings(url="redis://:half#password@127.0.0.1:6379"))

    with pytest.raises(UsageError, match=r"redis\.url: it is not a URL") as caught:
        async with open_redis(settings):
            pass

    assert "half" not in str(caught.value)


async def test_the_embedded_server_is_started_and_joined_by_the_next_link(tmp_path: Path) -> None:
    folder = tmp_path / "100% of # data?"
    settings = Settings(collector=CollectorSettings(data=folder / "monitor.duckdb"))

    async with open_redis(settings) as first, open_redis(settings) as second:
        await first.client.set("from", "first")
        read = await second.client.get("from")
        detail = await second.check()

    assert read == b"first"
    assert detail.endswith(f" at {folder}/valkey/valkey.sock")
