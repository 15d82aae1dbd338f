"""Watching the configured targets, and changing what is watched while running."""

import asyncio
import time
from pathlib import Path
from typing import Never

import structlog

from collector.probes.runner import Runner
from collector.probes.schedule import Schedule
from collector.recorder import Recorder
from collector.signals.meters import CollectorMeters
from collector.snapshot import Snapshot
from common.errors import DhmonError
from common.probe_settings import Probe
from common.settings import Settings, load

log = structlog.get_logger(__name__)


class Watch:
    """Runs the probes of `settings` inside `group`; `reload` takes a new configuration."""

    def __init__(
        self, runner: Runner, recorder: Recorder, snapshot: Snapshot, meters: CollectorMeters
    ) -> None:
        self._runner = runner
        self._recorder = recorder
        self._snapshot = snapshot
        self._meters = meters
        self._schedule: Schedule | None = None

    async def start(self, group: asyncio.TaskGroup, settings: Settings) -> None:
        self._runner.maintenance = settings.maintenance
        await self._recorder.resume(settings.probe)
        self._schedule = Schedule(group, self._run, self._skipped)
        self._schedule.replace(settings.probe)
        self._meters.config_read(successful=True, at=time.time())
        log.info("watching", probes=len(settings.probe))

    def stop(self) -> None:
        if self._schedule is not None:
            self._schedule.stop()

    async def keep_reloading(
        self, requested: asyncio.Event, path: Path | None, running: Settings
    ) -> Never:
        """On each request read the file again; a bad one is refused and the old one stays."""
        while True:
            await requested.wait()
            requested.clear()
            try:
                fresh = load(path)
            except DhmonError as error:
                self._meters.config_read(successful=False, at=time.time())
                log.warning("configuration refused, the old one stays", error=str(error))
                continue
            await self._apply(fresh)
            _tell_what_needs_a_restart(running, fresh)

    async def _apply(self, settings: Settings) -> None:
        self._runner.maintenance = settings.maintenance
        if self._schedule is not None:
            self._schedule.replace(settings.probe)
        await self._recorder.watch(settings.probe)
        self._meters.config_read(successful=True, at=time.time())
        log.info("configuration reloaded", probes=len(settings.probe))

    async def _run(self, probe: Probe, lag_seconds: float) -> None:
        result = await self._runner.run(
            probe,
            lag_seconds=lag_seconds,
            known_down=probe.name in self._snapshot.incidents,
        )
        await self._recorder.record(result)

    def _skipped(self, probe: Probe, count: int) -> None:
        self._meters.skipped.inc(count)
        log.warning("runs skipped", name=probe.name, count=count)


def _tell_what_needs_a_restart(running: Settings, fresh: Settings) -> None:
    reloadable = {"probe", "maintenance"}
    changed = [
        section
        for section in type(fresh).model_fields
        if section not in reloadable and getattr(fresh, section) != getattr(running, section)
    ]
    if changed:
        log.warning("changed settings take effect after a restart", sections=changed)
