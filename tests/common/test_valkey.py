"""The embedded Valkey: real servers, real processes that are killed."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from common.errors import DhmonError
from common.valkey import embedded_valkey, socket_path
from tests.servers.eventually import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Redis]:
    """Waits for a server that is on its way."""
    retry = Retry(ConstantBackoff(0.1), 300)
    async with Redis(unix_socket_path=str(socket_path(tmp_path)), retry=retry) as connected:
        yield connected


@pytest.fixture
def long_data(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose path is longer than a socket's may be."""
    data = tmp_path / ("long" * 30)
    yield data
    shutil.rmtree(socket_path(data).parent, ignore_errors=True)


class Member:
    """A process that takes part; what it logs is collected."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def says(self, sentence: str) -> bool:
        """Read on until the sentence has come; False when the process ends without it."""
        assert self.process.stdout is not None
        while sentence not in self.said:
            line = await self.process.stdout.readline()
            if not line:
                return False
            self.said += line.decode()
        return True

    async def leave(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.process.wait()


@asynccontextmanager
async def member(data: Path) -> AsyncIterator[Member]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.servers.valkey_member",
        data,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    taking_part = Member(process)
    try:
        yield taking_part
    finally:
        await taking_part.leave()


async def server_pid(client: Redis) -> int:
    return int((await client.info("server"))["process_id"])


async def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie is somebody's to collect, and ended."""

    async def look() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return await eventually(look, bool)


async def test_the_first_process_starts_a_server_without_a_port(
    tmp_path: Path, client: Redis
) -> None:
    async with embedded_valkey(tmp_path):
        about = await client.info("server")
        settings = await client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save")

    assert about["tcp_port"] == 0
    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    assert await gone(about["process_id"])
    assert "Ready to accept connections" in (tmp_path / "valkey" / "valkey.log").read_text()


async def test_the_server_is_nobodys_but_ours(tmp_path: Path, client: Redis) -> None:
    async with embedded_valkey(tmp_path):
        await client.ping()

        modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "valkey").glob("valkey.*")]

    assert (tmp_path / "valkey").stat().st_mode & 0o077 == 0
    assert modes == [0, 0]


async def test_a_second_process_joins_and_leaves_the_server_alone(
    tmp_path: Path, client: Redis
) -> None:
    async with embedded_valkey(tmp_path):
        before = await server_pid(client)
        async with member(tmp_path) as second:
            has_joined = await second.says("embedded valkey joined")
            exit_code = await second.leave()
        after = await server_pid(client)

    assert (has_joined, exit_code) == (True, 0)
    assert before == after


async def test_another_takes_over_when_the_owner_stops(tmp_path: Path, client: Redis) -> None:
    async with AsyncExitStack() as stack:
        async with member(tmp_path) as owner:
            await client.set("written", "before")
            first = await server_pid(client)
            await stack.enter_async_context(embedded_valkey(tmp_path))
            await owner.leave()

        kept = await client.get("written")
        second = await server_pid(client)

    assert kept == b"before"
    assert second != first
    assert await gone(first)
    assert await gone(second)


async def test_a_killed_server_is_started_again_with_its_data(
    tmp_path: Path, client: Redis
) -> None:
    async with embedded_valkey(tmp_path):
        await client.set("written", "before")
        killed = await server_pid(client)
        os.kill(killed, signal.SIGKILL)

        kept = await client.get("written")
        started = await server_pid(client)

    assert kept == b"before"
    assert started != killed


async def test_the_server_of_a_killed_owner_is_adopted_and_stopped_in_the_end(
    tmp_path: Path, client: Redis
) -> None:
    async with member(tmp_path) as owner:
        await client.set("written", "before")
        orphan = await server_pid(client)
        owner.process.kill()
        await owner.process.wait()

        async with member(tmp_path) as next_owner:
            has_adopted = await next_owner.says("embedded valkey adopted")
            kept, same = await client.get("written"), await server_pid(client)

    assert has_adopted
    assert (kept, same) == (b"before", orphan)
    assert await gone(orphan)


async def test_a_server_that_hangs_does_not_outlive_its_owner(
    tmp_path: Path, client: Redis
) -> None:
    async with member(tmp_path) as owner:
        hanging = await server_pid(client)
        os.kill(hanging, signal.SIGSTOP)

        exit_code = await owner.leave()
        is_sure = await owner.says("embedded valkey stopped")

    assert (exit_code, is_sure) == (0, True)
    assert await gone(hanging)


async def test_there_is_no_second_server_while_an_orphan_cannot_be_reached(
    tmp_path: Path, client: Redis
) -> None:
    async with member(tmp_path) as owner:
        await client.set("written", "before")
        orphan = await server_pid(client)
        owner.process.kill()
        await owner.process.wait()
    socket_path(tmp_path).unlink()
    await client.connection_pool.disconnect()

    async with member(tmp_path) as next_owner:
        has_adopted = await next_owner.says("embedded valkey adopted")
        orphan_lives = psutil.pid_exists(orphan)
        os.kill(orphan, signal.SIGKILL)
        kept, started = await client.get("written"), await server_pid(client)

    assert has_adopted
    assert orphan_lives
    assert kept == b"before"
    assert started != orphan


async def test_the_last_words_of_a_server_that_cannot_start_are_logged(tmp_path: Path) -> None:
    append_only = tmp_path / "valkey" / "appendonlydir"
    append_only.mkdir(parents=True)
    (append_only / "appendonly.aof.manifest").write_text("not a manifest\n")

    async with member(tmp_path) as owner:
        has_failed = await owner.says("embedded valkey ended, starting it again")
        has_failed_again = await owner.says("seconds=0.2")

    assert (has_failed, has_failed_again) == (True, True)
    assert "AOF manifest" in owner.said


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data.write_text("a file"), id="the data folder is a file"),
        pytest.param(
            lambda data: (data / "valkey" / "owner.lock").mkdir(parents=True),
            id="the lock is a folder",
        ),
    ],
)
async def test_a_folder_that_cannot_be_used_is_named(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(tmp_path / "data")

    with pytest.raises(DhmonError) as caught:
        async with embedded_valkey(tmp_path / "data"):
            pass

    assert str(tmp_path / "data" / "valkey") in caught.value.what
    assert "redis.url" in caught.value.remedy


async def test_a_path_too_long_for_a_socket_is_shortened_alike_in_every_process(
    long_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with member(long_data) as owner:
        assert await owner.says("embedded valkey started")
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        async with Redis(
            unix_socket_path=str(socket_path(long_data)), retry=Retry(ConstantBackoff(0.1), 300)
        ) as client:
            answers = await client.ping()
        mode = socket_path(long_data).parent.stat().st_mode

    assert answers
    assert mode & 0o077 == 0
    assert (long_data / "valkey" / "appendonlydir").is_dir()


async def test_a_short_folder_that_others_can_enter_is_refused(long_data: Path) -> None:
    squatted = socket_path(long_data).parent
    squatted.mkdir()
    squatted.chmod(0o777)

    with pytest.raises(DhmonError, match="is not a private folder"):
        async with embedded_valkey(long_data):
            pass


def test_the_way_to_the_folder_does_not_matter(long_data: Path, tmp_path: Path) -> None:
    long_data.mkdir()
    (tmp_path / "short").symlink_to(long_data)

    assert socket_path(tmp_path / "short") == socket_path(long_data)


async def test_an_error_of_the_block_arrives_as_itself(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="ours"):
        async with embedded_valkey(tmp_path):
            raise KeyError("ours")
