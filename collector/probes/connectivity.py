"""Is it them or is it us? The collector's own uplink, asked only when a probe has failed."""

import asyncio
import contextlib

import structlog

from common.probe_settings import host_port
from common.settings import ConnectivitySettings

# One answer serves all the probes that fail in the same moment.
ANSWER_LIVES_SECONDS = 5.0
log = structlog.get_logger(__name__)


class Uplink:
    """Up when any of the configured addresses accepts a connection.

    Attributes:
        is_up: the last answer; None while nothing was asked or nothing is configured.
    """

    def __init__(self, settings: ConnectivitySettings) -> None:
        self.settings = settings
        self.is_up: bool | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def is_lost(self) -> bool:
        """True when no address answers; False when one does or none is configured."""
        if not self.settings.targets:
            return False
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now - self._asked_at > ANSWER_LIVES_SECONDS:
                self._note(await self._any_answers())
                self._asked_at = asyncio.get_running_loop().time()
        return not self.is_up

    def _note(self, is_up: bool) -> None:
        if is_up != self.is_up and not (is_up and self.is_up is None):
            log.warning("uplink is back" if is_up else "uplink is lost")
        self.is_up = is_up

    async def _any_answers(self) -> bool:
        tasks = [asyncio.create_task(self._answers(target)) for target in self.settings.targets]
        try:
            for answer in asyncio.as_completed(tasks):
                if await answer:
                    return True
            return False
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answers(self, target: str) -> bool:
        host, port = host_port(target)
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
