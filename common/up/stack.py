"""Everything that `dhmon up` runs, from the first start to the last stop."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from common.listening import reachable
from common.settings import Settings
from common.up.account import FirstAdmin, first_admin
from common.up.banner import account_only, banner
from common.up.parts import addresses, dhmon_command, environment, part
from common.up.printer import Printer
from common.up.prometheus import prometheus_program
from common.up.supervisor import Supervisor
from common.up.waiting import wait_until_answered
from common.valkey import embedded_valkey

# Prometheus is not worth more waiting: what it lacks is said, the rest runs.
PROMETHEUS_SECONDS = 15.0
ACCOUNT_SECONDS = 1.0
log = structlog.get_logger(__name__)


class Stack:
    """`run` starts everything and stays until `end` is called."""

    def __init__(self, settings: Settings, config_path: Path | None, printer: Printer) -> None:
        self._settings = settings
        self._config_path = config_path
        self._printer = printer
        self._supervisor = Supervisor(printer.line, self._fail)
        self._main: asyncio.Task[None] | None = None
        self._is_ending = False
        self._failure: BaseException | None = None
        self._making_admin: asyncio.Task[FirstAdmin] | None = None
        self._admin: FirstAdmin | None = None

    def end(self) -> None:
        """Stop everything in its order."""
        if self._main is not None and not self._is_ending:
            self._is_ending = True
            log.info("stopping; Ctrl-C again kills")
            self._main.cancel()

    def interrupt(self) -> None:
        """What Ctrl-C does: stop everything, and at once when it is pressed again."""
        if self._is_ending:
            self._supervisor.kill()
        self.end()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.end()

    async def run(self) -> None:
        """Raises what no restart mends: a refused configuration, a folder that is of no use."""
        self._main = asyncio.current_task()
        self._listen_to_signals()
        try:
            async with AsyncExitStack() as stack:
                if self._settings.redis.url == "embedded":
                    valkey = embedded_valkey(self._settings.data_directory)
                    await stack.enter_async_context(valkey)
                stack.push_async_callback(self._supervisor.stop)
                await self._start()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self._is_ending:
                raise
        finally:
            await self._tell_password()
        if self._failure is not None:
            raise self._failure

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._supervisor.send, "collector", signal.SIGHUP)

    async def _start(self) -> None:
        settings, supervisor = self._settings, self._supervisor
        prometheus = await asyncio.to_thread(prometheus_program, settings)
        if prometheus is not None:
            supervisor.start(prometheus)
        await self._make_first_admin()
        supervisor.start(part("web", settings, self._config_path))
        await self._wait_for("the web app", settings.web.listen, "/healthz")
        # It watches the web app, and is to find it there: a first start is not an outage.
        supervisor.start(part("collector", settings, self._config_path))
        await self._wait_for("the collector", settings.collector.listen, "/healthz")
        has_prometheus = prometheus is not None and await self._wait_for_prometheus()
        supervisor.is_starting = False
        admin, self._admin = self._admin, None
        self._printer.block(banner(addresses(settings, has_prometheus=has_prometheus), admin))

    async def _make_first_admin(self) -> None:
        command = dhmon_command("user", "first-admin", "--json", config_path=self._config_path)
        making = first_admin(command, environment(self._settings))
        self._making_admin = asyncio.create_task(making)
        self._making_admin.add_done_callback(self._note_admin)
        # Shielded: the account may be made already when we are stopped, its password untold.
        await asyncio.shield(self._making_admin)

    def _note_admin(self, making: asyncio.Task[FirstAdmin]) -> None:
        if making.cancelled() or making.exception() is not None:
            return
        if making.result().created:
            self._admin = making.result()

    async def _tell_password(self) -> None:
        """The password of an account that no banner told about: it is nowhere else."""
        if self._making_admin is not None:
            await asyncio.wait({self._making_admin}, timeout=ACCOUNT_SECONDS)
        if self._admin is not None:
            self._printer.block(account_only(self._admin))

    async def _wait_for(self, name: str, listen: str, path: str) -> None:
        def say(text: str) -> None:
            self._printer.line("up", text)

        await wait_until_answered(name, reachable(listen), path, say)

    async def _wait_for_prometheus(self) -> bool:
        try:
            async with asyncio.timeout(PROMETHEUS_SECONDS):
                await self._wait_for("Prometheus", self._settings.up.prometheus, "/-/ready")
        except TimeoutError:
            log.warning("prometheus does not answer", seconds=PROMETHEUS_SECONDS)
            return False
        return True
