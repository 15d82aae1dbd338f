"""This machine, measured with psutil under OpenTelemetry's `system.*` names."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Never

import psutil
import structlog

from collector.errors import StoreError
from collector.model.sample import Labels, Sample
from collector.snapshot import Snapshot
from collector.store.batches import samples_batches
from collector.store.store import Store

# CPU use is a difference between two moments: the first reading follows this soon on the start.
FIRST_READING_SECONDS = 1.0
log = structlog.get_logger(__name__)


def read_host() -> list[Sample]:
    """One reading; CPU use is over the time since the reading before. Blocks for milliseconds,
    for longer where a mounted file system does not answer."""
    at = datetime.now(UTC)
    return [
        Sample(metric, labels, at, value)
        for reading in (_processor(), _memory(), _filesystems(), _network(), _disks())
        for metric, labels, value in reading
    ]


Reading = Iterator[tuple[str, Labels, float]]


def _processor() -> Reading:
    yield "system_cpu_utilization_ratio", (), psutil.cpu_percent(interval=None) / 100
    for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        yield f"system_cpu_load_average_{minutes}m", (), load
    uptime = datetime.now(UTC).timestamp() - psutil.boot_time()
    yield "system_uptime_seconds", (), uptime


def _memory() -> Reading:
    memory = psutil.virtual_memory()
    yield "system_memory_utilization_ratio", (), (memory.total - memory.available) / memory.total
    yield "system_memory_usage_bytes", (("state", "used"),), memory.total - memory.available
    yield "system_memory_usage_bytes", (("state", "available"),), memory.available


def _filesystems() -> Reading:
    seen: set[str] = set()
    for partition in psutil.disk_partitions(all=False):
        if partition.device in seen:
            continue
        seen.add(partition.device)
        yield from _filesystem(partition.mountpoint)
    if not seen:
        # In a container the root is an overlay, which psutil does not list.
        yield from _filesystem("/")


def _filesystem(mountpoint: str) -> Reading:
    try:
        usage = psutil.disk_usage(mountpoint)
    except OSError as error:
        log.debug("file system not readable", mountpoint=mountpoint, error=str(error))
        return
    if usage.total == 0:
        return
    place = ("mountpoint", mountpoint)
    # As df has it: space that only root may use is neither used nor free.
    yield "system_filesystem_utilization_ratio", (place,), usage.percent / 100
    yield "system_filesystem_usage_bytes", (place, ("state", "used")), usage.used
    yield "system_filesystem_usage_bytes", (place, ("state", "free")), usage.free


def _network() -> Reading:
    for device, counters in sorted(psutil.net_io_counters(pernic=True).items()):
        for direction, count in (
            ("receive", counters.bytes_recv),
            ("transmit", counters.bytes_sent),
        ):
            labels = (("device", device), ("direction", direction))
            yield "system_network_io_bytes_total", labels, count


def _disks() -> Reading:
    counters = psutil.disk_io_counters(perdisk=False)
    if counters is None:
        return
    for direction, count in (("read", counters.read_bytes), ("write", counters.write_bytes)):
        yield "system_disk_io_bytes_total", (("direction", direction),), count


async def keep_sampling(store: Store, snapshot: Snapshot, interval_seconds: float) -> Never:
    """Read the host every interval on the monotonic clock, keep it for scrapes and write it."""
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(read_host)
    await asyncio.sleep(min(FIRST_READING_SECONDS, interval_seconds))
    due = loop.time()
    read_at = due - min(FIRST_READING_SECONDS, interval_seconds)
    while True:
        snapshot.host_window_seconds, read_at = loop.time() - read_at, loop.time()
        await _sample(store, snapshot)
        missed = max(0, int((loop.time() - due) / interval_seconds))
        due += (missed + 1) * interval_seconds
        await asyncio.sleep(due - loop.time())


def _named(sample: Sample, origin: Labels) -> Sample:
    return replace(sample, labels=tuple(sorted((*sample.labels, *origin)))) if origin else sample


async def _sample(store: Store, snapshot: Snapshot) -> None:
    try:
        samples = await asyncio.to_thread(read_host)
    except (OSError, psutil.Error) as error:
        snapshot.host, snapshot.host_problem = [], f"the host cannot be read: {error}"
        log.warning("host not readable", error=str(error))
        return
    snapshot.host, snapshot.host_problem = samples, None
    try:
        await store.append(*samples_batches([_named(sample, store.origin) for sample in samples]))
    except StoreError as error:
        log.warning("samples lost", count=len(samples), error=str(error))
