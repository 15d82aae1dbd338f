"""`dhmon key`, run as people run it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.servers.ports import free_ports
from tests.servers.stack import DHMON
from tests.servers.web import running_valkey


def write_config(folder: Path, redis: str = "embedded") -> Path:
    path = folder / "monitor.toml"
    data = f'[collector]\ndata = "{folder}/data/monitor.duckdb"\n'
    path.write_text(f'{data}[redis]\nurl = "{redis}"\n', encoding="utf-8")
    return path


def dhmon_key(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DHMON, "key", *arguments, "--config", config],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_key_is_made_listed_and_revoked_without_any_service(tmp_path: Path) -> None:
    config = write_config(tmp_path)

    made = dhmon_key(
        config, "create", "--name", "shop", "--scope", "ingest", "--scope", "read", "--user", "ann",
        "--tier", "premium", "--json",
    )  # fmt: skip
    key = json.loads(made.stdout)
    listed = dhmon_key(config, "list", "--json")
    revoked = dhmon_key(config, "revoke", key["id"])
    shown = dhmon_key(config, "list")

    assert (made.returncode, made.stderr) == (0, "")
    assert sorted(key) == ["id", "key"]
    assert key["key"].startswith(f"dhm_{key['id']}_")
    [record] = json.loads(listed.stdout)
    assert (record["name"], record["user"], record["tier"]) == ("shop", "ann", "premium")
    assert sorted(record["scopes"]) == ["ingest", "read"]
    assert key["key"] not in listed.stdout
    assert revoked.stdout == f"{key['id']} is revoked\n"
    assert "revoked 20" in shown.stdout


def test_people_get_the_key_and_are_told_to_keep_it(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url:
        made = dhmon_key(write_config(tmp_path, url), "create", "--name", "a", "--scope", "sql")

    assert made.stdout.startswith("key: dhm_")
    assert made.stdout.endswith("It is not shown again.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("create", "--name", "a"), 2, "Missing option '--scope'"),
        (("create", "--name", "a", "--scope", "all"), 2, "'ingest', 'read', 'sql'"),
        (("create", "--name", "", "--scope", "read"), 2, "printable characters"),
        (("revoke", "nobody"), 1, "is no key's id; see `dhmon key list`"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    with running_valkey(tmp_path) as url:
        outcome = dhmon_key(write_config(tmp_path, url), *arguments)

    assert outcome.returncode == code
    assert sentence in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_redis_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    [port] = free_ports(1)

    outcome = dhmon_key(write_config(tmp_path, f"redis://127.0.0.1:{port}/0"), "list")

    assert outcome.returncode == 1
    assert f"dhmon: redis at 127.0.0.1:{port}: does not answer" in outcome.stderr
    assert "Traceback" not in outcome.stderr
