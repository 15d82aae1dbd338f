"""Rows in a terminal: readable, harmless, honest about what is cut off."""

import shutil

import pytest

from collector.table import table


def test_numbers_stand_to_the_right_and_null_is_told_from_text() -> None:
    text = table(["room", "count"], [["attic", 7], ["", None], [None, 12]], fits=False)

    assert text.splitlines() == [
        "room   count",
        "-----  -----",
        "attic      7",
        "        NULL",
        "NULL      12",
    ]


def test_nested_values_are_json() -> None:
    assert table(["labels"], [[{"room": "attic"}], [[1, None]]], fits=False).splitlines()[2:] == [
        '{"room": "attic"}',
        "[1, null]",
    ]


def test_what_would_drive_the_terminal_is_spelt_out() -> None:
    assert "\x1b" not in table(["x"], [["\x1b[2J\n"]], fits=False)
    assert "\\x1b[2J\\n" in table(["x"], [["\x1b[2J\n"]], fits=False)


def test_only_a_terminal_gets_long_texts_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    long = "x" * 100

    cut = table(["a", "b"], [[long, 1]], fits=True)
    whole = table(["a", "b"], [[long, 1]], fits=False)

    assert all(len(line) <= shutil.get_terminal_size().columns for line in cut.splitlines())
    assert cut.splitlines()[2].endswith("…")
    assert long in whole


def test_no_rows_are_a_heading() -> None:
    assert table(["a"], [], fits=True).splitlines() == ["a", "-"]
