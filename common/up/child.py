"""One program that runs beside us: started, its lines passed on, stopped."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.up.lines import Lines

CHUNK_BYTES = 65_536
SayLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and under which name its lines appear.

    `refusal`: the exit code that says: not with this configuration. None when there is none.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    refusal: int | None = None


class Child:
    """One program, run again and again; `last_line` is the last thing it said."""

    def __init__(self, program: Program, say: SayLine) -> None:
        self.program = program
        self.last_line = ""
        self._say = say
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Run the program to its end and return its exit code, minus the signal that killed it."""
        process = await asyncio.create_subprocess_exec(
            *self.program.command,
            env=self.program.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C in the terminal is for us alone: we stop the children in their order.
            start_new_session=True,
        )
        self._process = process
        try:
            await self._pass_on(process)
            return await process.wait()
        finally:
            self.kill()
            self._process = None

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the program is not running."""
        if self._process is None or self._process.returncode is not None:
            return False
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End the program, and what it started, at once."""
        if self._process is None or self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        lines = Lines()
        while process.stdout is not None and (data := await process.stdout.read(CHUNK_BYTES)):
            self._say_all(lines.feed(data))
        self._say_all(lines.rest())

    def _say_all(self, lines: list[str]) -> None:
        for line in lines:
            self._say(self.program.name, line)
            self.last_line = line


def ending(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"
