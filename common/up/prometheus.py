"""Prometheus beside us: the committed configuration, made to fit this machine."""

import glob
import json
import os
import shutil
from pathlib import Path

import structlog

from common.errors import DhmonError
from common.listening import bind, reachable
from common.settings import Settings
from common.up.child import Program
from common.up.preflight import is_answered

# Beside the packages, in a checkout; an installed wheel does not carry it.
SOURCE = Path(__file__).resolve().parents[2] / "prometheus"
ALERTMANAGER = "127.0.0.1:9093"
RETENTION = "15d"
log = structlog.get_logger(__name__)


def prometheus_program(settings: Settings, source: Path = SOURCE) -> Program | None:
    """How to run Prometheus on this machine; None, and a line that says why, when it cannot be.

    Writes the configuration to the data folder.
    """
    binary = shutil.which("prometheus")
    if binary is None:
        log.warning("no prometheus", why="it is not installed", remedy="apt install prometheus")
        return None
    if not (source / "prometheus.yml").is_file():
        log.warning("no prometheus", why=f"{source} is missing", remedy="run from a checkout")
        return None
    try:
        bind(settings.up.prometheus, key="up.prometheus").close()
    except DhmonError as error:
        log.warning("no prometheus", why=f"{error.what}: {error.why}", remedy=error.remedy)
        return None
    folder = settings.data_directory / "prometheus"
    folder.mkdir(exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(render(settings, source), encoding="utf-8")
    return Program(
        name="prometheus",
        command=(
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={settings.up.prometheus}",
            "--enable-feature=exemplar-storage",
            # Its twenty lines at each start say nothing to somebody who looks at a dashboard.
            "--log.level=warn",
        ),
        environment=dict(os.environ),
    )


def render(settings: Settings, source: Path) -> str:
    """The committed prometheus.yml with addresses and rules that are here.

    Alerts go to Alertmanager when one answers on this machine.
    """
    alertmanager = ALERTMANAGER if is_answered(ALERTMANAGER) else None
    rules = Path(glob.escape(str(source.resolve()))) / "rules" / "*.yml"
    text = (source / "prometheus.yml").read_text(encoding="utf-8")
    for committed, here in (
        ('"collector:8090"', json.dumps(reachable(settings.collector.listen))),
        ('"web:8080"', json.dumps(reachable(settings.web.listen))),
        ('"prometheus:9090"', json.dumps(reachable(settings.up.prometheus))),
        ('"alertmanager:9093"', json.dumps(alertmanager) if alertmanager else ""),
        ("rules/*.yml", json.dumps(str(rules))),
    ):
        text = text.replace(committed, here)
    return text
