"""The host's numbers against the kernel's own."""

from pathlib import Path

from collector.host import read_host
from collector.model.sample import Sample
from collector.signals.exposition import HOST_HELP


def find(samples: list[Sample], metric: str, **labels: str) -> float:
    wanted = tuple(sorted(labels.items()))
    [value] = [s.value for s in samples if s.metric == metric and s.labels == wanted]
    return value


def kernel(path: str) -> dict[str, int]:
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def test_memory_is_what_the_kernel_says() -> None:
    samples = read_host()
    memory = kernel("/proc/meminfo")

    available = find(samples, "system_memory_usage_bytes", state="available")
    used = find(samples, "system_memory_usage_bytes", state="used")

    assert available + used == memory["MemTotal"] * 1024
    assert abs(available / 1024 - memory["MemAvailable"]) < memory["MemTotal"] / 10


def test_shares_are_ratios_and_labels_are_sorted() -> None:
    read_host()
    samples = read_host()

    for sample in samples:
        if sample.metric.endswith("_ratio"):
            assert 0 <= sample.value <= 1, sample
        assert list(sample.labels) == sorted(sample.labels)


def test_the_root_file_system_is_among_them() -> None:
    samples = read_host()

    places = {dict(s.labels).get("mountpoint") for s in samples} - {None}

    assert places
    assert all(str(place).startswith("/") for place in places)


def test_loopback_traffic_is_counted_in_both_directions() -> None:
    samples = read_host()

    received = find(samples, "system_network_io_bytes_total", device="lo", direction="receive")
    sent = find(samples, "system_network_io_bytes_total", device="lo", direction="transmit")

    assert received == sent


def test_every_metric_of_the_host_has_its_help() -> None:
    assert {sample.metric for sample in read_host()} <= HOST_HELP.keys()
