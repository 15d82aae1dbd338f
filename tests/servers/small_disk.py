"""A disk that is soon full: a small tmpfs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """An empty file system of that size, gone at the end.

    Mounting is for root: without being it, or being let by sudo without a question, this fails.
    """
    place = folder / "small-disk"
    place.mkdir()
    options = f"size={mebibytes}m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
    _as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place))
    try:
        yield place
    finally:
        _as_root("umount", "--lazy", str(place))


def _as_root(*command: str) -> None:
    words = command if os.getuid() == 0 else ("sudo", "--non-interactive", *command)
    subprocess.run(words, check=True)
