"""Lines to the terminal, each with the name of who says it.

A thread writes: a terminal that is slow, or stopped with Ctrl-S, delays neither us nor a child.
"""

import logging
import os
import queue
import select
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

# Beyond this many waiting lines a child's lines are counted instead of kept.
MAX_WAITING_LINES = 10_000
CLOSE_SECONDS = 2.0
NAME_WIDTH = len("prometheus")
COLOURS = {"up": 1, "collector": 36, "web": 32, "prometheus": 33}


class Printer:
    """Use as a context: what was said is written before it ends.

    `on_lost` is called once, from another thread, when nobody can read any more.
    """

    def __init__(self, descriptor: int, *, colours: bool, on_lost: Callable[[], None]) -> None:
        # Not sys.stdout: a thread that hangs in its buffer would take the interpreter's exit along.
        self._descriptor = descriptor
        self._colours = colours
        self._on_lost = on_lost
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._keep_writing, name="printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting.put(None)
        self._thread.join(CLOSE_SECONDS)

    def line(self, name: str, text: str) -> None:
        """One line of `name`; left out, and counted, while the terminal is too slow."""
        if self._waiting.qsize() >= MAX_WAITING_LINES:
            self._left_out += 1
            return
        if self._left_out:
            note = f"{self._left_out} lines are left out: the terminal was too slow"
            self._waiting.put(self._prefix("up") + note)
            self._left_out = 0
        self._waiting.put(self._prefix(name) + text)

    def block(self, text: str) -> None:
        """Text that is never left out, without a name before it."""
        self._waiting.put(text)

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{NAME_WIDTH}} | "
        return f"\033[{COLOURS[name]}m{prefix}\033[0m" if self._colours else prefix

    def _keep_writing(self) -> None:
        is_lost = False
        while (text := self._waiting.get()) is not None:
            if is_lost:
                continue
            try:
                _write(self._descriptor, f"{text}\n".encode(errors="replace"))
            except OSError:
                is_lost = True
                self._on_lost()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        # For a terminal that another program has made non-blocking.
        select.select([], [descriptor], [])
        data = data[os.write(descriptor, data) :]


class PrinterHandler(logging.Handler):
    """Our own log lines, in between those of the children."""

    def __init__(self, printer: Printer) -> None:
        super().__init__()
        self._printer = printer

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            self._printer.line("up", line)
