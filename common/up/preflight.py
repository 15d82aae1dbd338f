"""What must be so before anything is started: a folder to write to, addresses that are free."""

import socket
import tempfile
from pathlib import Path

from common.errors import DhmonError, UsageError
from common.listening import bind, reachable
from common.probe_settings import host_port
from common.settings import Settings


def check_data_folder(folder: Path) -> None:
    """Make the folder if need be. Raises DhmonError when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DhmonError(
            f"the data folder {folder}",
            why=f"it cannot be written to ({error.strerror})",
            remedy="give this user write permission there, or set collector.data to another place",
        ) from None


def check_addresses(settings: Settings) -> None:
    """Raises DhmonError for an address of ours that is taken, or that the parts cannot share."""
    wanted = {
        "collector.listen": settings.collector.listen,
        "web.listen": settings.web.listen,
        "up.prometheus": settings.up.prometheus,
    }
    owners: dict[str, str] = {}
    for key, listen in wanted.items():
        if host_port(listen)[1] == 0:
            raise _unfit(key, listen, why="the other parts could not find it")
        owner = owners.setdefault(reachable(listen), key)
        if owner != key:
            raise _unfit(key, listen, why=f"{owner} has that port too")
    for key in ("collector.listen", "web.listen"):
        bind(wanted[key], key=key).close()


def _unfit(key: str, listen: str, *, why: str) -> UsageError:
    return UsageError(f"{key} = {listen}", why=why, remedy="give it a port of its own")


def is_answered(listen: str) -> bool:
    """Whether something on this machine accepts connections there."""
    try:
        socket.create_connection(host_port(reachable(listen)), timeout=1.0).close()
    except OSError:
        return False
    return True
