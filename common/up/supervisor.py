"""Keeps the children running, and stops them in their order."""

import asyncio
import signal
import time
from collections.abc import Callable

import structlog

from common.back_off import BackOff
from common.errors import UsageError
from common.up.child import Child, Program, SayLine, ending

RESTART = BackOff(first_seconds=1.0, longest_seconds=30.0, healthy_seconds=60.0)
# Who talks to another stops before it. Valkey, which all of them use, is not a child: it is last.
STOP_ORDER = ("web", "collector", "prometheus")
# With what Valkey may take afterwards: within ten seconds.
PATIENCE_SECONDS = 6.0
KILL_SECONDS = 1.0
log = structlog.get_logger(__name__)


class Supervisor:
    """Starts programs and restarts what ends; `on_failure` is called when that makes no sense.

    Attributes:
        is_starting: a child that refuses its configuration meanwhile is a failure; later it is
            started again, because somebody may be editing the file.
    """

    def __init__(self, say: SayLine, on_failure: Callable[[BaseException], None]) -> None:
        self.is_starting = True
        self._say = say
        self._on_failure = on_failure
        self._is_stopping = False
        self._children: dict[str, tuple[Child, asyncio.Task[None]]] = {}

    def start(self, program: Program) -> None:
        child = Child(program, self._say)
        task = asyncio.create_task(self._keep_running(child), name=program.name)
        task.add_done_callback(self._note_end)
        self._children[program.name] = child, task

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a child if it runs."""
        if name in self._children:
            self._children[name][0].send(number)

    def kill(self) -> None:
        """End everything at once, whatever is lost."""
        self._is_stopping = True
        for child, _ in self._children.values():
            child.kill()

    async def stop(self) -> None:
        """End everything in order: SIGTERM, and SIGKILL for what has not ended in time."""
        self._is_stopping = True
        started = time.monotonic()
        names = [name for name in STOP_ORDER if name in self._children]
        for count, name in enumerate(names, start=1):
            child, task = self._children[name]
            if not child.send(signal.SIGTERM):
                task.cancel()
            patience = started + PATIENCE_SECONDS * count / len(names) - time.monotonic()
            await asyncio.wait({task}, timeout=max(0.0, patience))
            if task.done():
                log.info("stopped", child=name)
        await self._kill_what_is_left()

    async def _kill_what_is_left(self) -> None:
        for name, (child, task) in self._children.items():
            if task.done():
                continue
            log.warning("did not stop in time, killed", child=name)
            child.kill()
            await asyncio.wait({task}, timeout=KILL_SECONDS)

    async def _keep_running(self, child: Child) -> None:
        pause = None
        while True:
            started = time.monotonic()
            exit_code = await child.run()
            if self._is_stopping:
                return
            name = child.program.name
            if self.is_starting and exit_code == child.program.refusal:
                raise UsageError(
                    f"dhmon {name}",
                    why=f"it does not start; its last words: {child.last_line.strip()}",
                    remedy="correct what it says above and start again",
                )
            pause = RESTART.after(pause, lived_seconds=time.monotonic() - started)
            log.warning(
                "ended, starting it again", child=name, how=ending(exit_code), seconds=pause
            )
            await asyncio.sleep(pause)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)
