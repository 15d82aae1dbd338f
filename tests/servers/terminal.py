"""A program of ours as a person runs it: its lines are read as they come, signals are sent."""

import asyncio
import codecs
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil


class Terminal:
    """`text` is everything read so far, standard error included."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self._read_up_to = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    async def until(self, pattern: str) -> re.Match[str]:
        """The next match of `pattern`, after the last one that was waited for."""
        expression = re.compile(pattern)
        while (found := expression.search(self.text, self._read_up_to)) is None:
            assert self.process.stdout is not None
            data = await self.process.stdout.read(65_536)
            assert data, f"it ended without {pattern!r}:\n{self.text}"
            self.text += self._decoder.decode(data)
        self._read_up_to = found.end()
        return found

    async def finish(self) -> int:
        """Read to the end; the exit code."""
        assert self.process.stdout is not None
        self.text += self._decoder.decode(await self.process.stdout.read(), final=True)
        return await self.process.wait()

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def children(self) -> dict[str, psutil.Process]:
        """By name: "collector", "web", "prometheus", "valkey-server"; make in between is no one."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            words = child.cmdline()
            is_ours = "common.cli" in words
            name = words[words.index("common.cli") + 1] if is_ours else child.name()
            found[name] = child
        return found


def survivors(processes: Mapping[str, psutil.Process]) -> dict[str, str]:
    """Those that still run, with their state; a zombie has ended, whoever collects it."""
    states = {}
    for name, process in processes.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running():
                states[name] = process.status()
    return {name: state for name, state in states.items() if state != psutil.STATUS_ZOMBIE}


@asynccontextmanager
async def terminal(
    *command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """Runs the command in a session of its own; whatever is left of it in the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Terminal(process)
    finally:
        await _clean_up(process)


async def _clean_up(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    await process.wait()
