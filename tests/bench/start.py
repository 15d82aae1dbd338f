"""From process start to the first answer of /metrics, beside the imports alone."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import await_metrics, collector, environment, write_config
from tests.servers.ports import free_ports

ROUNDS = 7
GOAL = Goal(1.3, of_ratio=True, text="≤ 1.3 of the reference")
# What a collector has imported that is neither ours nor Python's own.
LIST_MODULES = """
import json, sys
sys.modules["rich"] = None
import collector.commands
ours = {"collector", "common", "__main__"}
print(json.dumps([
    name for name, module in sys.modules.items()
    if name.partition(".")[0] not in ours | sys.stdlib_module_names
    and getattr(module, "__spec__", None) is not None
]))
"""
IMPORT = "import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"


def measure(folder: Path) -> list[Figure]:
    imports = folder / "imports.py"
    imports.write_text(IMPORT.format(names=third_party_modules()), encoding="utf-8")
    ours: list[float] = []
    bare: list[float] = []
    # The first round of each fills the caches and does not count.
    for _ in range(ROUNDS + 1):
        ours.append(_start(folder))
        bare.append(_import(imports))
    return [
        figure(
            "start to first /metrics, median",
            statistics.median(ours[1:]),
            "s",
            beside="the same imports in a bare interpreter",
            reference=statistics.median(bare[1:]),
            goal=GOAL,
        )
    ]


def third_party_modules() -> list[str]:
    listed = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], capture_output=True, check=True, env=environment()
    )
    names: list[str] = json.loads(listed.stdout)
    return names


def _start(folder: Path) -> float:
    [port] = free_ports(1)
    config = write_config(folder, port, "")
    with collector(config):
        return await_metrics(port)


def _import(script: Path) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, script], check=True, env=environment())
    return time.perf_counter() - started
