"""`dhmon user`, run as people run it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.servers.stack import DHMON

CONFIG = """
[collector]
data = "{folder}/data/monitor.duckdb"

[web]
database = "sqlite:///{folder}/data/web.db"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.toml"
    path.write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    return path


def dhmon_user(config: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DHMON, "user", *arguments, "--config", config],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_person_is_added_and_listed(config: Path) -> None:
    added = dhmon_user(
        config, "add", "Ann", "--role", "operator", "--password-stdin", stdin="a good password\n"
    )
    listed = dhmon_user(config, "list", "--json")

    assert (added.returncode, added.stdout) == (0, "added ann (operator)\n")
    [person] = json.loads(listed.stdout)
    assert (person["name"], person["role"], person["state"]) == ("ann", "operator", "enabled")
    assert "password" not in listed.stdout


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("ann", "short", "has 5 characters; choose one of 12 to 1024"),
        ("", "a good password", "is not 1 to 64 printable characters"),
        ("a\nb", "a good password", "is not 1 to 64 printable characters"),
        ("x" * 65, "a good password", "is not 1 to 64 printable characters"),
    ],
)
def test_what_cannot_be_added_is_refused_with_one_sentence(
    config: Path, name: str, password: str, sentence: str
) -> None:
    outcome = dhmon_user(
        config, "add", name, "--role", "viewer", "--password-stdin", stdin=password
    )

    assert outcome.returncode == 1
    assert sentence in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_name_is_given_once(config: Path) -> None:
    add = ("--role", "viewer", "--password-stdin")
    dhmon_user(config, "add", "ann", *add, stdin="a good password")

    again = dhmon_user(config, "add", "ANN", *add, stdin="a good password")

    assert (again.returncode, "is taken" in again.stderr) == (1, True)


def test_a_person_is_disabled_and_enabled(config: Path) -> None:
    dhmon_user(
        config, "add", "ann", "--role", "viewer", "--password-stdin", stdin="a good password"
    )

    dhmon_user(config, "disable", "ann")
    [disabled] = json.loads(dhmon_user(config, "list", "--json").stdout)
    dhmon_user(config, "enable", "ann")
    [enabled] = json.loads(dhmon_user(config, "list", "--json").stdout)

    assert (disabled["state"], enabled["state"]) == ("disabled", "enabled")


@pytest.mark.parametrize("command", ["passwd", "disable", "enable"])
def test_nobody_cannot_be_changed(config: Path, command: str) -> None:
    extra = ("--password-stdin",) if command == "passwd" else ()

    outcome = dhmon_user(config, command, "nobody", *extra, stdin="a good password")

    assert outcome.returncode == 1
    assert "is nobody's; see `dhmon user list`" in outcome.stderr


def test_the_first_admin_is_made_once(config: Path) -> None:
    first = json.loads(dhmon_user(config, "first-admin", "--json").stdout)
    second = json.loads(dhmon_user(config, "first-admin", "--json").stdout)

    assert (first["created"], first["name"]) == (True, "admin")
    assert len(first["password"]) >= 20
    assert second == {"created": False}


def test_two_at_once_make_one_first_admin(config: Path) -> None:
    command = [str(DHMON), "user", "first-admin", "--json", "--config", str(config)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]

    outcomes = [json.loads(process.communicate()[0]) for process in running]

    assert sorted(outcome["created"] for outcome in outcomes) == [False, False, True]


def test_a_new_password_replaces_the_old_one(config: Path) -> None:
    dhmon_user(
        config, "add", "ann", "--role", "viewer", "--password-stdin", stdin="a good password"
    )

    changed = dhmon_user(config, "passwd", "Ann", "--password-stdin", stdin="a better password\n")
    refused = dhmon_user(config, "passwd", "Ann", "--password-stdin", stdin="short\n")

    assert (changed.returncode, changed.stdout) == (0, "the password of Ann is changed\n")
    assert refused.returncode == 1


def test_an_unknown_role_is_wrong_usage(config: Path) -> None:
    outcome = dhmon_user(config, "add", "ann", "--role", "king", stdin="x")

    assert outcome.returncode == 2
    assert "'viewer', 'operator', 'admin'" in outcome.stderr
