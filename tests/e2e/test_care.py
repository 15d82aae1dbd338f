"""`dhmon backup|restore|verify|compact`: beside a collector, without one, and killed."""

import json
import os
import pty
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from collector.store.db import open_database
from collector.store.migrate import known_migrations, migrate
from common.service_key import service_key
from common.settings import load
from tests.e2e.test_collector_process import DHMON, Collector, one_sentence, running

FILL = """
INSERT INTO samples SELECT 1, make_timestamptz(1795000000000000 + i * 10000), hash(i) / 1e9
FROM range({rows}) AS t(i)
"""
SERIES = "INSERT INTO series VALUES (1, 'filled', MAP {})"
NOT_ROLLED_UP = """
UPDATE rollup_state SET rolled_until = date_trunc(level, make_timestamptz(1795000000000000))
WHERE level <> 'raw'
"""
SUM = "SELECT count(*), bit_xor(hash(ts, value)) FROM samples WHERE series_id = 1"


def dhmon(config: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DHMON, *arguments, "--config", config],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def succeeded(outcome: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The JSON lines of a command that went well."""
    assert outcome.returncode == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def store_path(config: Path) -> Path:
    return config.parent / "data" / "monitor.duckdb"


def fill(config: Path, rows: int = 1_000_000) -> list[tuple[object, ...]]:
    """A store of some size, made before the collector starts; returns what is in it."""
    path = store_path(config)
    connection = open_database(path)
    migrate(connection, path, known_migrations())
    connection.execute(SERIES)
    connection.execute(NOT_ROLLED_UP)
    connection.execute(FILL.format(rows=rows))
    found = connection.execute(SUM).fetchall()
    connection.close()
    return found


def content(path: Path) -> list[tuple[object, ...]]:
    connection = open_database(path)
    try:
        return connection.execute(SUM).fetchall()
    finally:
        connection.close()


def key_of(config: Path) -> str:
    return service_key(load(config))


def asked(collector: Collector, route: str, body: bytes, key: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{collector.port}/api/v1/store/{route}",
        data=body,
        headers={"Authorization": f"Bearer {key}"},
        method="POST",
    )
    return urllib.request.urlopen(request, timeout=60)


def test_a_backup_of_a_collector_at_work_is_restored_elsewhere(config: Path, port: int) -> None:
    expected = fill(config)
    folder, back = config.parent / "backups", config.parent / "back.duckdb"

    with running(config, port) as collector:
        [first] = succeeded(dhmon(config, "backup", folder, "--json"))
        [second] = succeeded(dhmon(config, "backup", folder, "--json"))
        assert collector.get("/healthz") == {"status": "ok"}

    assert first["written_blocks"] > 10
    assert second["written_blocks"] < first["written_blocks"] / 2
    [listed, _] = succeeded(dhmon(config, "backup", "--list", folder, "--json"))
    assert listed["id"] == first["snapshot"]
    [restored] = succeeded(
        dhmon(config, "restore", folder, "--snapshot", first["snapshot"], "--to", back, "--json")
    )
    assert restored["path"] == str(back)
    assert content(back) == expected
    assert dhmon(config, "verify", folder).returncode == 0


def test_without_a_collector_the_commands_open_the_store_themselves(
    config: Path, port: int
) -> None:
    expected = fill(config)
    folder = config.parent / "backups"

    [backed_up] = succeeded(dhmon(config, "backup", folder, "--keep", "1", "--json"))
    *_, verified = succeeded(dhmon(config, "verify", "--json"))
    [compacted] = succeeded(dhmon(config, "compact", "--json"))
    store_path(config).unlink()
    [restored] = succeeded(dhmon(config, "restore", folder, "--json"))

    assert restored["snapshot"] == backed_up["snapshot"]
    assert verified == {"type": "verified", "checks": verified["checks"], "differences": 0}
    assert compacted["rows"] > 1_000_000
    assert content(store_path(config)) == expected
    with running(config, port) as collector:
        assert collector.get("/readyz")["checks"]["store"]["status"] == "ok"


def test_verify_beside_a_collector_finds_what_is_wrong(config: Path, port: int) -> None:
    fill(config, rows=1000)
    with running(config, port):
        sound = dhmon(config, "verify")
    connection = open_database(store_path(config))
    connection.execute("DELETE FROM series WHERE metric = 'filled'")
    connection.close()

    with running(config, port):
        wrong = dhmon(config, "verify")

    assert (sound.returncode, wrong.returncode) == (0, 1), wrong.stdout
    assert "all is well" in sound.stdout
    found = [line for line in wrong.stdout.splitlines() if "WRONG" in line]
    assert any(line.startswith("series of samples exist") for line in found)


def test_compact_beside_a_collector_gives_space_back(config: Path, port: int) -> None:
    store_path(config).parent.mkdir()
    connection = open_database(store_path(config))
    connection.execute("CREATE TABLE much AS SELECT hash(i) AS h FROM range(3000000) t(i)")
    connection.close()
    expected = fill(config)
    connection = open_database(store_path(config))
    connection.execute("DROP TABLE much")
    connection.close()
    size = store_path(config).stat().st_size

    with running(config, port) as collector:
        [compacted] = succeeded(dhmon(config, "compact", "--json"))
        assert collector.get("/readyz")["checks"]["store"]["status"] == "ok"

    assert compacted["bytes_before"] >= size
    assert compacted["bytes_after"] < size * 0.7
    assert store_path(config).stat().st_size < size * 0.7
    assert content(store_path(config)) == expected


def test_only_the_service_key_takes_care_of_the_store(config: Path, port: int) -> None:
    folder = config.parent / "backups"

    with running(config, port) as collector:
        for route in ("backup", "verify", "compact"):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                asked(collector, route, b"{}", "guessed")
            assert refusal.value.code == 401
            refusal.value.close()

    assert not folder.exists()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b'{"folder": "relative"}', "no absolute path"),
        (b'{"folder": "/x", "keep": 0}', "less than 1"),
        (b'{"folder": "/x", "nonsense": 1}', "nonsense"),
        (b'{"folder": "\xff"}', "body"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(
    config: Path, port: int, body: bytes, why: str
) -> None:
    with running(config, port) as collector:
        with pytest.raises(urllib.error.HTTPError) as refusal:
            asked(collector, "backup", body, key_of(config))
        answer = json.loads(refusal.value.read())
        refusal.value.close()

    assert answer["status"] == 400
    assert why in answer["detail"]


def test_a_backup_whose_client_leaves_does_not_hinder_the_next(config: Path, port: int) -> None:
    fill(config, rows=3_000_000)
    folder = config.parent / "backups"
    with running(config, port) as collector:
        body = json.dumps({"folder": str(folder)}).encode()
        with asked(collector, "backup", body, key_of(config)) as answer:
            answer.readline()
        collector.until(lambda: dhmon(config, "backup", folder).returncode == 0)

    assert dhmon(config, "verify", folder).returncode == 0


def test_a_store_that_is_open_elsewhere_is_named(config: Path) -> None:
    fill(config, rows=10)
    connection = open_database(store_path(config))
    try:
        outcomes = [dhmon(config, "backup", config.parent / "b"), dhmon(config, "verify")]
    finally:
        connection.close()

    for outcome in outcomes:
        assert outcome.returncode == 1
        one_sentence(outcome, "another process has it open", "PID", "stop that process")


def test_without_a_store_it_is_said(config: Path) -> None:
    outcome = dhmon(config, "backup", config.parent / "backups")

    assert outcome.returncode == 1
    one_sentence(outcome, "there is no store, and no collector answers", "collector.data")
    assert not store_path(config).exists()


def test_long_work_shows_a_bar_in_a_terminal(config: Path) -> None:
    fill(config)
    folder = config.parent / "backups"
    ours, theirs = pty.openpty()

    outcome = subprocess.run(
        [*DHMON, "backup", folder, "--config", config],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        timeout=90,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert outcome.returncode == 0
    assert "copying (MiB)  [####" in shown
    assert outcome.stdout.startswith("snapshot ")
