"""The collector and its references as processes that are measured from outside."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

# As it is installed for use: without rich, which a tool for developers brings and structlog loads.
COLLECTOR = [
    sys.executable,
    "-c",
    "import sys; sys.modules['rich'] = None; from common.cli import main; main()",
    "collector",
]
POLL_SECONDS = 0.005
START_SECONDS = 60.0


def environment() -> dict[str, str]:
    """As a user has it: compiled modules are kept."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def collector(config: Path) -> Iterator[psutil.Process]:
    """`dhmon collector` until the block ends."""
    with running([*COLLECTOR, "--config", config], log=config.with_suffix(".log")) as process:
        yield process


@contextmanager
def running(command: Sequence[str | Path], *, log: Path) -> Iterator[psutil.Process]:
    """`command` until the block ends, what it says in `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def await_metrics(port: int) -> float:
    """Seconds until `/metrics` answers."""
    return await_answer(f"http://127.0.0.1:{port}/metrics")


def await_answer(address: str) -> float:
    """Seconds until `address` answers."""
    started = time.perf_counter()
    while time.perf_counter() - started < START_SECONDS:
        try:
            fetch(address)
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return time.perf_counter() - started
    raise TimeoutError(f"nothing answers at {address}")


def scrape(port: int) -> dict[str, float]:
    """Samples without labels by name, and histogram buckets as "name{le}"."""
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(fetch(f"http://127.0.0.1:{port}/metrics")):
        for sample in family.samples:
            bound = sample.labels.get("le")
            name = f"{sample.name}{{{bound}}}" if bound else sample.name
            values[name] = values.get(name, 0.0) + sample.value
    return values


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def highest_memory(pid: int) -> int:
    """The most bytes that the process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def write_config(folder: Path, port: int, probes: str) -> Path:
    path = folder / f"monitor-{port}.toml"
    path.write_text(
        f'[collector]\nlisten = "127.0.0.1:{port}"\ndata = "{folder}/data-{port}/m.duckdb"\n'
        f'[log]\nlevel = "warning"\n{probes}',
        encoding="utf-8",
    )
    return path


def http_probes(count: int, target: str, *, interval: str, timeout: str) -> str:
    return "".join(
        f'[[probe]]\nname = "p{number}"\ntype = "http"\ntarget = "{target}"\n'
        f'interval = "{interval}"\ntimeout = "{timeout}"\nretries = 0\n'
        for number in range(count)
    )
