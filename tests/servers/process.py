"""Real programs as subprocesses: started, awaited by a line of their log, and stopped."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 15.0


# Daemons live in /usr/sbin, which few users have in PATH; PostgreSQL has folders of its own.
DAEMONS = ["/usr/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)]


def program(name: str) -> str:
    """The path of an installed program."""
    path = shutil.which(name, path=":".join([os.environ.get("PATH", ""), *DAEMONS]))
    assert path is not None, f"{name} is not installed: `make test` installs it"
    return path


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[re.Match[str]]:
    """Run `command` until the block ends; yields the first match of `ready` in what it prints."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        yield _await_line(process, log, re.compile(ready))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_line(
    process: subprocess.Popen[bytes], log: Path, ready: re.Pattern[str]
) -> re.Match[str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if found := ready.search(log.read_text(encoding="utf-8", errors="replace")):
            return found
        if process.poll() is not None:
            break
        time.sleep(0.02)
    said = log.read_text(encoding="utf-8", errors="replace")
    raise AssertionError(f"{process.args!r} never said {ready.pattern!r}:\n{said}")
