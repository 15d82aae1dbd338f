"""The same requests through blackbox_exporter: what it reports is what we report."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from collector.signals.probe_metrics import measures
from common.probe_settings import HttpProbe
from tests.collector.conftest import make_result
from tests.collector.probes.conftest import LookAt
from tests.servers.certificates import Certificates
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.process import program, running
from tests.servers.raw import answering, forwarding, raw_server

CONFIG = """
modules:
  http_2xx:
    prober: http
    timeout: 5s
    http: {{preferred_ip_protocol: ip4, tls_config: {{ca_file: {ca}}}}}
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PAUSE_SECONDS = 0.4
# The machine may be busy with something else during one of the two.
TOLERANCE = 0.5
Values = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def blackbox(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("blackbox")
    config = folder / "blackbox.yml"
    config.write_text(CONFIG.format(ca=certificates.ca), encoding="utf-8")
    [port] = free_ports(1)
    command = [
        program("prometheus-blackbox-exporter"),
        f"--config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, log=folder / "log", ready="Listening on"):
        yield f"http://127.0.0.1:{port}/probe"


async def ask_blackbox(address: str, target: str) -> Values:
    parameters = {"target": target, "module": "http_2xx"}
    async with ClientSession() as session, session.get(address, params=parameters) as response:
        text = await response.text()
    return {
        (sample.name, sample.labels.get("phase", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def ask_ours(look: LookAt, target: str, ca: Path) -> Values:
    outcome = await look("http", target, tls={"ca": ca})
    probe = HttpProbe.model_validate({"name": "x", "type": "http", "target": target})
    result = make_result("down" if outcome.failure else "up", probe=probe, seen=outcome.seen)
    return {
        (name, extra[0] if name.endswith("http_duration_seconds") else ""): value
        for name, extra, value in measures(result)
    }


EQUAL = (
    "probe_success",
    "probe_http_status_code",
    "probe_http_version",
    "probe_http_redirects",
    "probe_http_ssl",
    "probe_http_content_length",
    "probe_http_uncompressed_body_length",
    "probe_ip_protocol",
    "probe_failed_due_to_regex",
    "probe_ssl_earliest_cert_expiry",
    "probe_ssl_last_chain_expiry_timestamp_seconds",
)


PATHS = ["/", "/twice", "/secure", "/files/page.html"]


@pytest.mark.parametrize("path", [*PATHS, "/busy"])
async def test_the_same_request_gives_the_same_facts(
    nginx: Nginx, certificates: Certificates, look: LookAt, blackbox: str, path: str
) -> None:
    target = nginx.url(path, host="localhost")

    theirs = await ask_blackbox(blackbox, target)
    ours = await ask_ours(look, target, certificates.ca)

    assert facts(ours) == facts(theirs)


@pytest.mark.parametrize("site", ["good", "chained"])
async def test_the_same_certificates_give_the_same_facts(
    nginx: Nginx, certificates: Certificates, look: LookAt, blackbox: str, site: str
) -> None:
    target = f"https://localhost:{getattr(nginx, site)}/"

    theirs = await ask_blackbox(blackbox, target)
    ours = await ask_ours(look, target, certificates.ca)

    assert facts(ours) == facts(theirs)


def facts(values: Values) -> dict[str, float | None]:
    return {name: values.get((name, "")) for name in EQUAL}


@pytest.mark.parametrize("path", PATHS)
async def test_the_same_phases_are_reached(
    nginx: Nginx, certificates: Certificates, look: LookAt, blackbox: str, path: str
) -> None:
    target = nginx.url(path, host="localhost")

    theirs = await ask_blackbox(blackbox, target)
    ours = await ask_ours(look, target, certificates.ca)

    assert reached(ours) == reached(theirs)


def phases(values: Values) -> dict[str, float]:
    return {
        phase: value
        for (name, phase), value in values.items()
        if name == "probe_http_duration_seconds"
    }


def reached(values: Values) -> set[str]:
    return {phase for phase, seconds in phases(values).items() if seconds > 0}


@pytest.mark.parametrize(
    ("parts", "slow"),
    [((PAUSE_SECONDS, OK), "processing"), ((OK[:-2], PAUSE_SECONDS, OK[-2:]), "transfer")],
)
async def test_a_pause_of_the_server_shows_in_the_same_phase_with_the_same_length(
    certificates: Certificates,
    look: LookAt,
    blackbox: str,
    parts: tuple[bytes | float, ...],
    slow: str,
) -> None:
    async with raw_server(answering(*parts)) as port:
        target = f"http://127.0.0.1:{port}/"
        theirs = await ask_blackbox(blackbox, target)
        ours = await ask_ours(look, target, certificates.ca)

    assert pause_in(ours, slow) == pytest.approx(pause_in(theirs, slow), rel=TOLERANCE)


async def test_a_pause_in_the_handshake_shows_in_the_same_phase_with_the_same_length(
    nginx: Nginx, certificates: Certificates, look: LookAt, blackbox: str
) -> None:
    async with raw_server(forwarding(nginx.good, after_seconds=PAUSE_SECONDS)) as port:
        target = f"https://localhost:{port}/"
        theirs = await ask_blackbox(blackbox, target)
        ours = await ask_ours(look, target, certificates.ca)

    assert pause_in(ours, "tls") == pytest.approx(pause_in(theirs, "tls"), rel=TOLERANCE)


def pause_in(values: Values, slow: str) -> float:
    """The length of the phase `slow`, which must be longer than all the others together."""
    seconds = phases(values)
    assert seconds[slow] >= PAUSE_SECONDS - 0.01
    assert seconds[slow] > sum(seconds.values()) / 2
    return seconds[slow]
