"""Takes every result: keeps it for scrapes, opens and closes incidents, writes it to the store."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Never

import structlog

from collector.errors import StoreError
from collector.model.incident import IncidentEvent, advance, closed
from collector.model.result import ProbeResult, history
from collector.signals.meters import CollectorMeters
from collector.snapshot import Snapshot
from collector.store.batches import incident_events_batch, probe_results_batch, samples_batches
from collector.store.incidents import open_incidents
from collector.store.store import Store
from common.probe_settings import Probe

# Nobody waits for a probe's row: a second of them shares one commit. A kill -9 loses that second.
FLUSH_SECONDS = 1.0
MAX_HELD_RESULTS = 100_000
log = structlog.get_logger(__name__)


class Recorder:
    """The one place where a result has consequences."""

    def __init__(self, store: Store, snapshot: Snapshot, meters: CollectorMeters) -> None:
        self._store = store
        self._snapshot = snapshot
        self._meters = meters
        self._held: list[ProbeResult] = []

    async def resume(self, probes: Iterable[Probe]) -> None:
        """Take up the incidents that were open when the last process ended."""
        opened = await open_incidents(self._store)
        if self._store.is_shared:
            # Other collectors' incidents are theirs to close: a target belongs to one collector.
            probes = tuple(probes)
            names = {probe.name for probe in probes}
            opened = [event for event in opened if event.name in names]
        self._snapshot.incidents = {event.name: event for event in opened}
        await self.watch(probes)

    async def watch(self, probes: Iterable[Probe]) -> None:
        """Close the incidents of targets that are no longer watched."""
        self._snapshot.watch(probes)
        now = datetime.now(UTC)
        for name, opened in list(self._snapshot.incidents.items()):
            if name not in self._snapshot.probes:
                await self._note(closed(opened, now, "the target is no longer watched"))

    def pending(self, probe: Probe) -> None:
        self._snapshot.pending.add(probe.name)

    async def record(self, result: ProbeResult) -> None:
        name = result.probe.name
        self._held.append(result)
        self._meters.ran(result)
        self._snapshot.pending.discard(name)
        self._snapshot.results[name] = result
        event = advance(self._snapshot.incidents.get(name), result)
        if event is not None:
            await self._note(event)

    async def _note(self, event: IncidentEvent) -> None:
        """An event counts once it is on disk; until then the next result causes it again."""
        try:
            await self._store.append(incident_events_batch([event]))
        except StoreError as error:
            log.warning("incident not written yet", name=event.name, error=str(error))
            return
        if event.kind == "opened":
            self._snapshot.incidents[event.name] = event
        else:
            self._snapshot.incidents.pop(event.name, None)
        sentence = "incident opened" if event.kind == "opened" else "incident closed"
        log.warning(sentence, name=event.name, cause=event.cause, detail=event.detail)

    async def keep_flushing(self) -> Never:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write the results held so far; kept for the next time when the store refuses them."""
        if not self._held:
            return
        results, self._held = self._held, []
        try:
            samples = [sample for result in results for sample in history(result)]
            await self._store.append(probe_results_batch(results), *samples_batches(samples))
        except StoreError as error:
            log.warning("results not written yet", count=len(results), error=str(error))
            self._held = results + self._held
            excess = len(self._held) - MAX_HELD_RESULTS
            if excess > 0:
                del self._held[:excess]
                self._meters.results_lost.inc(excess)
                log.critical("results lost", count=excess)
