"""Bytes of a child become lines, however they are cut."""

from hypothesis import given
from hypothesis import strategies as st

from common.up.lines import MAX_LINE_BYTES, Lines


def all_lines(*pieces: bytes) -> list[str]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + lines.rest()


def test_a_line_waits_for_its_end() -> None:
    lines = Lines()

    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed(b"o\r\n\n") == ["two", ""]
    assert lines.rest() == []


def test_what_has_no_newline_comes_in_the_end() -> None:
    assert all_lines(b"half a ", b"line") == ["half a line"]


def test_a_line_too_long_comes_in_several() -> None:
    length = MAX_LINE_BYTES

    assert [len(line) for line in all_lines(b"x" * (2 * length + 1))] == [length, length, 1]
    assert [len(line) for line in all_lines(b"x" * (2 * length + 1) + b"\n")] == [length, length, 1]


def test_what_is_not_utf_8_is_shown_as_such() -> None:
    assert all_lines(b"caf\xe9 \xff\n") == ["caf\ufffd \ufffd"]


@given(st.text().map(str.encode), st.integers(min_value=1, max_value=7))
def test_the_cuts_do_not_matter(data: bytes, size: int) -> None:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]

    assert all_lines(*pieces) == all_lines(data)
