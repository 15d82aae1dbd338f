"""The container files, checked without an engine: what they name exists and is accepted."""

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from common.settings import Settings, load
from tests.servers.process import program

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("collector", "web")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IMAGE_VARIABLES = dict(re.findall(r"^(?:ENV)? +([A-Z_]+)=(\S+)", DOCKERFILE, re.M))
HOST_PORT = re.compile(r"\b([a-z]+):(\d{4})\b")
KEY = "not-a-real-key"

our_services = pytest.mark.parametrize("name", OURS)
every_service = pytest.mark.parametrize("name", SERVICES)


def bind_mounts(name: str) -> list[tuple[str, str, str]]:
    """(source, target, mode) of what the service mounts from the checkout."""
    mounts = [volume.split(":") for volume in SERVICES[name].get("volumes", [])]
    return [(source, target, "".join(mode)) for source, target, *mode in mounts if "/" in source]


def variables(name: str) -> dict[str, str]:
    """What our container sees: the image's variables, then Compose's with their defaults."""
    given = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    filled = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in given.items()}
    return IMAGE_VARIABLES | filled


def settings(name: str, monkeypatch: pytest.MonkeyPatch, directory: Path, **more: str) -> Settings:
    """The service's configuration, as `dhmon` would load it in its container."""
    secret = directory / "service_key"
    secret.write_text(KEY, encoding="utf-8")
    mounted = {target: ROOT / source for source, target, _ in bind_mounts(name)}
    environment = variables(name) | more
    assert environment["DHMON_COLLECTOR__SERVICE_KEY"] == "file:/run/secrets/service_key"
    environment["DHMON_COLLECTOR__SERVICE_KEY"] = f"file:{secret}"
    environment["DHMON_CONFIG"] = str(mounted[Path(environment["DHMON_CONFIG"]).as_posix()])
    for key, value in environment.items():
        if key.startswith("DHMON_"):
            monkeypatch.setenv(key, value)
    return load()


@our_services
def test_our_settings_accept_every_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded = settings(name, monkeypatch, tmp_path)

    assert loaded.collector.listen == "0.0.0.0:8090"
    assert loaded.collector.data == Path("/var/lib/dhmon/monitor.duckdb")
    assert loaded.web.listen == "0.0.0.0:8080"
    assert loaded.web.database == "sqlite:////var/lib/dhmon/web.db"
    assert loaded.redis.url == "redis://valkey:6379/0"
    assert loaded.collector.service_key is not None
    assert loaded.collector.service_key.get_secret_value() == KEY
    assert len(loaded.probe) == 6


@our_services
def test_no_variable_of_ours_is_misspelt(name: str) -> None:
    """Settings ignore unknown variables, so their names are held against the fields."""
    names = [key for key in variables(name) if key.startswith("DHMON_") and key != "DHMON_CONFIG"]

    for variable in names:
        section, _, key = variable.removeprefix("DHMON_").lower().partition("__")
        assert section in Settings.model_fields
        assert not key or key in type(getattr(Settings(), section)).model_fields


def test_the_web_app_asks_the_collector_by_its_service_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings("web", monkeypatch, tmp_path).collector_url == "http://collector:8090"


def test_the_collector_wants_a_key_from_other_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings("collector", monkeypatch, tmp_path).collector_requires_key


def test_production_is_a_matter_of_two_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    production = {
        "DHMON_ENVIRONMENT": "production",
        "DHMON_WEB__PUBLIC_URL": "https://monitor.example.org",
    }

    loaded = settings("web", monkeypatch, tmp_path, **production)

    assert loaded.environment == "production"
    assert all(f"${{{key}:-" in SERVICES["web"]["environment"][key] for key in production)


def test_our_containers_probe_what_is_in_the_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    targets = " ".join(p.target for p in settings("collector", monkeypatch, tmp_path).probe)

    assert {host for host, _ in HOST_PORT.findall(targets)} == set(SERVICES)


@every_service
def test_every_mounted_path_is_in_the_checkout_and_read_only(name: str) -> None:
    for source, _, mode in bind_mounts(name):
        assert (ROOT / source).exists()
        assert mode == "ro"


@every_service
def test_every_named_volume_is_declared(name: str) -> None:
    sources = {volume.partition(":")[0] for volume in SERVICES[name].get("volumes", [])}

    assert {source for source in sources if "/" not in source} <= set(COMPOSE["volumes"])


@every_service
def test_a_service_has_few_rights(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@every_service
def test_a_service_is_pinned_and_has_a_health_check(name: str) -> None:
    image = SERVICES[name]["image"]

    assert re.search(r":v?\d+\.\d+\.\d+$", image)
    assert name in OURS or SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_only_what_people_look_at_is_published_and_only_here() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"web": ["127.0.0.1:8080:8080"], "grafana": ["127.0.0.1:3000:3000"]}


@pytest.mark.parametrize(
    "path",
    [
        "prometheus/prometheus.yml",
        "grafana/provisioning/datasources/main.yml",
        "deploy/monitor.toml",
    ],
)
def test_a_file_names_services_that_are_in_the_stack(path: str) -> None:
    found = HOST_PORT.findall((ROOT / path).read_text(encoding="utf-8"))
    ports = {
        "collector": "8090",
        "web": "8080",
        "valkey": "6379",
        "prometheus": "9090",
        "alertmanager": "9093",
        "grafana": "3000",
    }

    assert found
    assert set(ports) == set(SERVICES)
    assert all(ports[host] == port for host, port in found)


def test_the_secrets_that_are_made_are_those_that_are_mounted(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    command = [str(ROOT / "deploy/make-secrets"), str(directory)]

    subprocess.run(command, check=True, capture_output=True)
    made = {path.name: path.read_text("ascii") for path in directory.iterdir()}
    subprocess.run(command, check=True, capture_output=True)

    mounted = {name: secret["file"] for name, secret in COMPOSE["secrets"].items()}
    assert mounted == {name: f"./deploy/secrets/{name}" for name in made}
    assert {path.name: path.read_text("ascii") for path in directory.iterdir()} == made
    assert len(set(made.values())) == 2
    assert all(len(secret) == 43 for secret in made.values())


def test_only_the_owner_of_the_checkout_gets_at_the_secrets(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy/make-secrets", directory], check=True, capture_output=True)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/deploy/secrets/" in ignored


def test_the_image_gets_what_it_is_made_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        word.removeprefix("./")
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
        for word in sources.split()
    }

    assert "*" in lines
    assert let_in == copied
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_nobody_special_on_the_python_of_the_tests() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)

    assert set(stages) == {"python:3.11-slim-bookworm"}
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.M) == ["10001:10001"]
    assert "--require-hashes --requirement requirements.lock" in DOCKERFILE


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    provider = YAML(typ="safe").load(ROOT / "grafana/provisioning/dashboards/main.yml")
    mounts = {target: source for source, target, _ in bind_mounts("grafana")}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    path = provider["providers"][0]["options"]["path"]

    assert mounts[path] == "./grafana/dashboards"
    assert Path(home).parent == Path(path)
    assert (ROOT / mounts[path] / Path(home).name).is_file()


def test_grafana_scrapes_time_like_prometheus_does() -> None:
    sources = YAML(typ="safe").load(ROOT / "grafana/provisioning/datasources/main.yml")
    prometheus = YAML(typ="safe").load(ROOT / "prometheus/prometheus.yml")

    first = sources["datasources"][0]

    assert first["uid"] == "prometheus"
    assert first["editable"] is False
    assert first["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_promtool_accepts_the_path_that_prometheus_is_started_with() -> None:
    option = next(o for o in SERVICES["prometheus"]["command"] if o.startswith("--config.file="))
    mounts = {target: source for source, target, _ in bind_mounts("prometheus")}
    inside = Path(option.partition("=")[2])

    outside = ROOT / mounts[str(inside.parent)] / inside.name

    command = [program("promtool"), "check", "config", str(outside)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
