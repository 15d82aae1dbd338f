"""A file or a lake: what may be said about either, and what is never shown."""

import json
from pathlib import Path

import pytest

from common.errors import UsageError
from common.settings import load
from common.store_settings import LakeCatalogue
from tests.common.test_settings import config, dhmon, problems

LAKE = """
[collector]
data = "ducklake:postgres:dbname=lake host=db.example user=dhmon password=hunter2"
lake = { data_path = "s3://bucket/prefix", s3 = { key_id = "env:KEY", secret = "env:SECRET" } }
"""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "AKIA")
    monkeypatch.setenv("SECRET", "s3cret")


def test_a_lake_is_its_catalogue_and_its_data_path(tmp_path: Path) -> None:
    collector = load(config(tmp_path, LAKE)).collector

    assert isinstance(collector.data, LakeCatalogue)
    assert collector.data.address == "dbname=lake host=db.example user=dhmon password=hunter2"
    assert collector.lake is not None
    assert collector.lake.data_path == "s3://bucket/prefix/"
    assert collector.lake.keep_snapshots_seconds == 86_400


def test_nothing_secret_of_a_lake_is_shown(tmp_path: Path) -> None:
    path = config(tmp_path, LAKE)

    shown = dhmon("config", "show", "--config", path).stdout

    assert json.loads(shown)["collector"]["data"] == (
        "ducklake:postgres:dbname=lake host=db.example user=dhmon password=**********"
    )
    assert not any(secret in shown + repr(load(path)) for secret in ("hunter2", "s3cret", "AKIA"))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:hunter2@h/db", "postgresql://me:**********@h/db"),
        (r"password = 'hun\'ter 2' host=h", "password = ********** host=h"),
        ("host=h user=me", "host=h user=me"),
    ],
)
def test_a_password_is_masked_in_all_its_spellings(address: str, shown: str) -> None:
    assert str(LakeCatalogue(address)) == f"ducklake:postgres:{shown}"
    assert "hun" not in repr(LakeCatalogue(address))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('data = "ducklake:postgres:dbname=x"', "lake = { data_path"),
        ('lake = { data_path = "/lake" }', 'data = "ducklake:'),
        ('data = "ducklake:sqlite:x password=hunter2"', 'expected "ducklake:postgres:dbname='),
        ('data = "ducklake:postgres:"', 'expected "ducklake:postgres:dbname='),
        ("data = 7", "expected the path of a file"),
        (
            'data = "ducklake:postgres:dbname=x"\nlake = { data_path = "s3://b/p" }',
            "expected s3 = { key_id, secret",
        ),
        (
            'data = "ducklake:postgres:dbname=x"\nlake = { data_path = "gs://b/p" }',
            'expected "s3://bucket/prefix" or a path',
        ),
        (
            'data = "ducklake:postgres:dbname=x"\n'
            'lake = { data_path = "s3://b", s3 = { endpoint = "host:9000", '
            'key_id = "env:KEY", secret = "env:SECRET" } }',
            'expected "https://host:port"',
        ),
    ],
)
def test_what_makes_no_lake_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    [problem] = problems(config(tmp_path, f"[collector]\n{text}\n"))

    assert sentence in problem
    assert "hunter2" not in problem


def test_the_data_folder_is_beside_the_file_or_chosen(tmp_path: Path) -> None:
    beside = load(config(tmp_path, f'[collector]\ndata = "{tmp_path}/x/m.duckdb"\n'))
    of_a_lake = load(config(tmp_path, LAKE))
    chosen = load(config(tmp_path, LAKE + f'data_directory = "{tmp_path}/y"\n'))

    assert beside.data_directory == tmp_path / "x"
    assert of_a_lake.data_directory == Path("data").absolute()
    assert chosen.data_directory == tmp_path / "y"


def test_what_needs_a_file_says_so_on_a_lake(tmp_path: Path) -> None:
    settings = load(config(tmp_path, LAKE))

    with pytest.raises(UsageError, match=r"password=\*+: this works on a DuckDB file"):
        _ = settings.store_file
