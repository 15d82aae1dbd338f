"""A collector that is killed while its store is backed up or compacted."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_care import content, dhmon, fill, store_path, succeeded
from tests.e2e.test_collector_process import running


def blocks(data: Path) -> int:
    return len(list(data.glob("../backups/blocks/??/*.zst")))


def fresh_bytes(data: Path) -> int:
    return sum(path.stat().st_size for path in data.glob("*.compacting"))


# When the collector is killed: as soon as this much is there.
MOMENTS: dict[str, tuple[str, Callable[[Path], bool]]] = {
    "a backup that has begun": ("backup", lambda data: blocks(data) > 0),
    "a backup under way": ("backup", lambda data: blocks(data) > 30),
    "a compaction that has begun": ("compact", lambda data: fresh_bytes(data) > 0),
    "a compaction under way": ("compact", lambda data: fresh_bytes(data) > 8 << 20),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_collector_killed_meanwhile_loses_nothing(config: Path, port: int, moment: str) -> None:
    command, has_come = MOMENTS[moment]
    expected = fill(config, rows=2_000_000)
    folder = config.parent / "backups"
    arguments = [folder] if command == "backup" else []
    with running(config, port) as collector:
        asking = threading.Thread(target=lambda: dhmon(config, command, *arguments))
        asking.start()
        collector.until(lambda: has_come(store_path(config).parent) or not asking.is_alive())
        collector.process.send_signal(signal.SIGKILL)
        collector.process.wait()
        asking.join()

    with running(config, port):
        *_, verified = succeeded(dhmon(config, "verify", "--json"))
        succeeded(dhmon(config, "backup", folder, "--json"))
    assert verified["differences"] == 0
    assert dhmon(config, "verify", folder).returncode == 0
    assert content(store_path(config)) == expected
    assert [path.name for path in store_path(config).parent.glob("monitor*")] == ["monitor.duckdb"]
