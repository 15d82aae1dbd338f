"""From work that takes its time, on whatever thread, to somebody who looks on."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable

from collector.model.report import Progress, Report, Say

# The last progress is told again after this long, so that a listener who left is noticed.
REPEAT_SECONDS = 1.0
STARTING = Progress("waiting for its turn", 0, 1, "step")


class Abandoned(Exception):  # noqa: N818 - nobody listens any more; that is no fault
    """Raised inside the work, by `say`, once nobody listens."""


async def reports(work: Callable[[Say], Awaitable[None]]) -> AsyncGenerator[Report, None]:
    """What `work` says, as it says it; then its error, if it has one.

    When the listener leaves, the work is cancelled and its next `say` raises Abandoned; this ends
    when the work has.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[Report | None] = asyncio.Queue()
    is_abandoned = threading.Event()

    def say(report: Report) -> None:
        if is_abandoned.is_set():
            raise Abandoned
        loop.call_soon_threadsafe(told.put_nowait, report)

    task = asyncio.ensure_future(work(say))
    task.add_done_callback(lambda _: told.put_nowait(None))
    try:
        last: Report = STARTING
        while True:
            try:
                async with asyncio.timeout(REPEAT_SECONDS):
                    report = await told.get()
            except TimeoutError:
                if isinstance(last, Progress):
                    yield last
                continue
            if report is None:
                break
            yield report
            last = report
        await task
    finally:
        is_abandoned.set()
        task.cancel()
        await asyncio.wait([task])
