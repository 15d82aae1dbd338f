"""A real collector that probes real targets, scraped by a real Prometheus with our committed
configuration, which tells a real Alertmanager."""

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import make_certificates
from tests.servers.nginx import running_nginx
from tests.servers.process import program, running

ROOT = Path(__file__).parents[2]
DHMON = Path(sys.executable).with_name("dhmon")
PROMETHEUS_READY = r"(?s)Listening on\W+address=([\d.:]+).*Server is ready"
ALERTMANAGER_READY = r"Listening on\W+address=([\d.:]+)"
COLLECTOR_READY = r'"address": ?"http://([\d.:]+)"'

MONITOR_TOML = """
[collector]
listen = "127.0.0.1:0"
data = "{directory}/monitor.duckdb"
host_interval = "1s"

[[probe]]
name = "shop"
type = "http"
target = "https://localhost:{shop}/"
interval = "1s"
timeout = "900ms"
retries = 0
region = "test"
tls = {{ ca = "{ca}" }}

[[probe]]
name = "closed"
type = "tcp"
target = "127.0.0.1:{closed}"
interval = "1s"
timeout = "900ms"
retries = 0

[[probe]]
name = "planned"
type = "tcp"
target = "127.0.0.1:{closed}"
interval = "1s"
timeout = "900ms"
retries = 0

[[maintenance]]
match = {{ name = "planned" }}
start = 2020-01-01T00:00:00Z
end = 2100-01-01T00:00:00Z
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Base URLs, and where the targets are: `shop` answers, nothing listens at `closed`."""

    collector: str
    prometheus: str
    alertmanager: str
    shop: str
    closed: str


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    """All of it, in `directory`, until the block ends."""
    with ExitStack() as started:
        certificates = make_certificates(directory)
        shop = started.enter_context(running_nginx(directory, certificates)).good
        closed = started.enter_context(_closed_port())
        targets = {"shop": shop, "closed": closed, "ca": certificates.ca}
        collector = started.enter_context(_collector(directory, targets))
        alertmanager = started.enter_context(running_alertmanager(directory))
        config = render_prometheus(directory, collector=collector, alertmanager=alertmanager)
        prometheus = started.enter_context(running_prometheus(config, directory))
        yield Stack(
            collector=f"http://{collector}",
            prometheus=f"http://{prometheus}",
            alertmanager=f"http://{alertmanager}",
            shop=f"https://localhost:{shop}/",
            closed=f"127.0.0.1:{closed}",
        )


def render_prometheus(directory: Path, *, collector: str, alertmanager: str) -> Path:
    """The committed files with addresses that are here, and everything in seconds."""
    rules = (ROOT / "prometheus/rules/alerts.yml").read_text(encoding="utf-8")
    (directory / "rules").mkdir()
    (directory / "rules/alerts.yml").write_text(rules.replace("for: 1m", "for: 2s"), "utf-8")
    config = (ROOT / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    for committed, here in (
        ("collector:8090", collector),
        ("alertmanager:9093", alertmanager),
        ("interval: 15s", "interval: 1s"),
    ):
        assert committed in config
        config = config.replace(committed, here)
    path = directory / "prometheus.yml"
    path.write_text(config, encoding="utf-8")
    return path


@contextmanager
def running_prometheus(config: Path, directory: Path) -> Iterator[str]:
    """Prometheus with `config` and a store of its own; yields its address."""
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory}/tsdb",
        "--web.listen-address=127.0.0.1:0",
        # What fires before Alertmanager is found is lost until it is sent again.
        "--rules.alert.resend-delay=1s",
    ]
    log = directory / "prometheus.log"
    with running(command, log=log, ready=PROMETHEUS_READY) as found:
        yield found[1]


@contextmanager
def running_alertmanager(directory: Path) -> Iterator[str]:
    """Alertmanager with the committed configuration; yields its address."""
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={ROOT}/prometheus/alertmanager.yml",
        f"--storage.path={directory}/alertmanager",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    log = directory / "alertmanager.log"
    with running(command, log=log, ready=ALERTMANAGER_READY) as found:
        yield found[1]


@contextmanager
def _collector(directory: Path, targets: Mapping[str, object]) -> Iterator[str]:
    config = directory / "monitor.toml"
    text = MONITOR_TOML.format(directory=directory, **targets)
    config.write_text(text, encoding="utf-8")
    command = [str(DHMON), "collector", f"--config={config}"]
    with running(command, log=directory / "collector.log", ready=COLLECTOR_READY) as found:
        yield found[1]


@contextmanager
def _closed_port() -> Iterator[int]:
    """A port that stays ours, so that nothing else listens on it, and does not listen itself."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
