"""The configuration: everything checked, every error at once, no secret shown."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.duration import UNIT_SECONDS, format_duration, parse_duration
from common.errors import UsageError
from common.probe_settings import host_port
from common.service_key import service_key
from common.settings import InvalidConfigError, load


def config(folder: Path, text: str) -> Path:
    path = folder / "monitor.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        load(path)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_the_committed_configuration_is_valid_and_watches_the_product_itself() -> None:
    settings = load(Path(__file__).parents[2] / "monitor.toml")

    assert {probe.type for probe in settings.probe} == {"http", "tcp", "dns"}
    assert {probe.name for probe in settings.probe} >= {"web", "collector"}


def test_the_example_of_the_interfaces_is_valid(tmp_path: Path) -> None:
    settings = load(
        config(
            tmp_path,
            """
            environment = "development"
            [collector]
            listen = "127.0.0.1:8090"
            data = "data/monitor.duckdb"
            retention = { raw = "14d", minute = "90d", hour = "5y", ledger = "forever" }
            [web]
            listen = "127.0.0.1:8080"
            database = "sqlite:///data/web.db"
            [redis]
            url = "embedded"
            [otel]
            endpoint = ""
            [[probe]]
            name = "shop"
            type = "http"
            target = "https://shop.example/health"
            interval = "30s"
            timeout = "5s"
            retries = 2
            region = "eu-west"
            critical = true
            expect = { status = [200], body = "ok", latency = "800ms", certificate = "14d" }
            [[maintenance]]
            match = { name = "shop" }
            start = 2026-12-01T02:00:00Z
            end = 2026-12-01T03:00:00Z
            """,
        )
    )

    [probe] = settings.probe
    assert (probe.interval_seconds, probe.timeout_seconds, probe.retries) == (30.0, 5.0, 2)
    assert probe.expect.latency_seconds == 0.8
    assert settings.collector.retention.ledger == float("inf")


def test_every_error_is_reported_at_once_with_key_value_and_expectation(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        """
        environment = "prod"
        colour = "blue"
        [collector]
        listen = "8090"
        [[probe]]
        name = "shop"
        type = "gopher"
        target = "shop.example"
        [[probe]]
        name = "shop 2"
        type = "http"
        target = "ftp://shop.example/"
        interval = "5 parsecs"
        expect = { body = "(" }
        """,
    )

    found = problems(path)

    assert len(found) == 8
    assert any(line.startswith("environment = 'prod': ") for line in found)
    assert "colour: unknown key; see docs/configuration.md" in found
    assert "collector.listen = '8090': expected \"host:port\"" in found
    assert any("probe[0]" in line and "'gopher'" in line and "'icmp'" in line for line in found)
    assert any(line.startswith("probe[1].name = 'shop 2'") for line in found)
    assert any(line.startswith("probe[1].target = 'ftp://shop.example/'") for line in found)
    assert any("probe[1].interval = '5 parsecs': expected a duration" in line for line in found)
    assert any("probe[1].expect.body = '('" in line for line in found)


def test_probes_with_the_same_name_are_refused(tmp_path: Path) -> None:
    probe = '[[probe]]\nname = "shop"\ntype = "icmp"\ntarget = "127.0.0.1"\n'

    assert problems(config(tmp_path, probe + probe)) == [
        "expected every probe to have its own name; twice: shop"
    ]


def test_attempts_that_do_not_fit_into_the_interval_are_refused_with_the_sum(
    tmp_path: Path,
) -> None:
    path = config(
        tmp_path,
        '[[probe]]\nname = "a"\ntype = "icmp"\ntarget = "x"\ninterval = "10s"\ntimeout = "5s"\n',
    )

    [problem] = problems(path)

    assert "= 17s: raise interval, or lower timeout or retries" in problem


def test_a_secret_in_the_file_is_refused_without_being_repeated(tmp_path: Path) -> None:
    [problem] = problems(config(tmp_path, '[collector]\nservice_key = "hunter2"\n'))

    assert "never the secret itself" in problem
    assert "hunter2" not in problem


def test_secrets_come_from_the_environment_or_a_file_and_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    (tmp_path / "key").write_text("other\n", encoding="utf-8")
    from_environment = load(config(tmp_path, '[collector]\nservice_key = "env:MY_KEY"\n'))
    from_file = load(config(tmp_path, f'[collector]\nservice_key = "file:{tmp_path / "key"}"\n'))

    assert service_key(from_environment) == "s3cret"
    assert service_key(from_file) == "other"
    assert "s3cret" not in from_environment.model_dump_json() + repr(from_environment)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    [problem] = problems(config(tmp_path, '[collector]\nservice_key = "env:NO_SUCH_KEY"\n'))

    assert "expected the environment variable NO_SUCH_KEY to be set" in problem


def test_a_variable_wins_over_the_file_and_its_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, '[collector]\nlisten = "127.0.0.1:1"\ndata = "elsewhere/x.duckdb"\n')
    monkeypatch.setenv("DHMON_COLLECTOR__LISTEN", "127.0.0.1:2")

    assert load(path).collector.listen == "127.0.0.1:2"
    assert load(path).collector.data == Path("elsewhere/x.duckdb")

    monkeypatch.setenv("DHMON_COLLECTOR__LISTEN", "nowhere")
    assert problems(path) == ["DHMON_COLLECTOR__LISTEN = 'nowhere': expected \"host:port\""]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"a = = b", "is not valid TOML"), (b"\xff\xfe", "is not valid TOML"), (None, "no such file")],
)
def test_a_file_that_cannot_be_read_is_a_usage_error(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "monitor.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=sentence) as caught:
        load(path)

    assert caught.value.exit_code == 2


def test_production_insists_on_tls(tmp_path: Path) -> None:
    [problem] = problems(config(tmp_path, 'environment = "production"\n'))

    assert "expected web.public_url to be https://… in production" in problem


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("", False),
        ('collector = { listen = "0.0.0.0:8090" }', True),
        ('collector = { listen = "[::1]:8090" }', False),
        ('collector = { listen = "0.0.0.0:8090", require_key = false }', False),
        ('environment = "staging"\nweb = { public_url = "https://m.example" }', True),
    ],
)
def test_reading_without_a_key_is_for_development_on_loopback(
    tmp_path: Path, text: str, required: bool
) -> None:
    assert load(config(tmp_path, text)).collector_requires_key is required


def test_the_service_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = load(config(tmp_path, f'[collector]\ndata = "{tmp_path}/data/m.duckdb"\n'))

    first = service_key(settings)

    assert len(first) >= 32
    assert service_key(settings) == first
    assert (tmp_path / "data" / "service.key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["service.key"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("800ms", 0.8), ("30s", 30), ("1h30m", 5400), ("14d", 1_209_600)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "30", "s", "30 s", "-5s", "1e3s", "5min", 30, True, None])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(value)


@given(st.text(max_size=20))
def test_no_text_makes_the_duration_parser_stumble(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert "expected a duration" in str(error)


@given(count=st.integers(1, 10_000), unit=st.sampled_from(sorted(UNIT_SECONDS)))
def test_a_formatted_duration_reads_back(count: int, unit: str) -> None:
    seconds = count * UNIT_SECONDS[unit]

    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("a.b:1", ("a.b", 1))],
)
def test_addresses_are_split(address: str, expected: tuple[str, int]) -> None:
    assert host_port(address) == expected


@pytest.mark.parametrize("address", ["", "host", ":80", "host:", "host:x", "host:70000", "a:1/b"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_port(address)


def dhmon(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from common.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_config_check_says_what_is_wrong_on_stderr_and_ends_with_2(tmp_path: Path) -> None:
    path = config(tmp_path, 'environment = "prod"\n')

    outcome = dhmon("config", "check", "--config", path)

    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"dhmon: {path}: the configuration has 1 error; correct it:")
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    path = config(tmp_path, 'environment = "prod"\n')

    outcome = dhmon("config", "check", "--config", path, "--debug")

    assert "Traceback" in outcome.stderr
    assert outcome.returncode != 0


def test_config_check_reports_in_json(tmp_path: Path) -> None:
    valid = dhmon("config", "check", "--json", "--config", config(tmp_path, ""))
    invalid = dhmon("config", "check", "--json", "--config", config(tmp_path, "x = 1"))

    assert json.loads(valid.stdout) == {"valid": True, "errors": [], "probes": 0}
    assert json.loads(invalid.stdout)["valid"] is False


def test_config_show_prints_what_is_in_force_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    path = config(tmp_path, '[collector]\nservice_key = "env:MY_KEY"\n')

    outcome = dhmon("config", "show", "--config", path)

    assert json.loads(outcome.stdout)["collector"]["listen"] == "127.0.0.1:8090"
    assert "s3cret" not in outcome.stdout


def test_config_show_masks_passwords_in_addresses(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        """
        redis = { url = "redis://me:hunter2@r.example:6379/0" }
        web = { database = "postgresql+asyncpg://me:hunter3@p.example/web" }
        """,
    )

    shown = json.loads(dhmon("config", "show", "--config", path).stdout)

    assert shown["redis"]["url"] == "redis://me:**********@r.example:6379/0"
    assert shown["web"]["database"] == "postgresql+asyncpg://me:**********@p.example/web"
    assert load(path).redis.url == "redis://me:hunter2@r.example:6379/0"


@pytest.mark.parametrize("arguments", [["nonsense"], ["config"], ["config", "check", "--nope"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    outcome = dhmon(*arguments)

    assert outcome.returncode == 2
    assert "Traceback" not in outcome.stderr
