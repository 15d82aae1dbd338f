"""The key by which the web app proves itself to the collector: one file both can read."""

import os
import secrets
from pathlib import Path

from common.errors import DhmonError
from common.settings import Settings

FILE_NAME = "service.key"


def service_key(settings: Settings) -> str:
    """`collector.service_key`, else the key in the data folder, made by whoever comes first.

    Raises DhmonError when that folder is of no use.
    """
    if settings.collector.service_key is not None:
        return settings.collector.service_key.get_secret_value()
    try:
        return _read_or_make(settings.data_directory / FILE_NAME)
    except OSError as error:
        raise DhmonError(
            str(settings.data_directory),
            why=f"the data folder cannot be written ({error.strerror})",
            remedy="give this user write permission there or set collector.data",
        ) from error


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_urlsafe(32), encoding="ascii")
    try:
        # A link appears whole or not at all, so that a second process never reads half a key.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text(encoding="ascii").strip()
