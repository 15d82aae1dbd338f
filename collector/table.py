"""Rows as a table for a terminal."""

import json
import shutil
from collections.abc import Sequence
from typing import Any

MAX_CELL = 60
GAP = "  "


def table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, fits: bool) -> str:
    """A heading, a line and the rows; numbers to the right.

    `fits`: long texts and lines are cut off, with an ellipsis where, so that each row is one line
    of the terminal; else nothing is.
    """
    cells = [[_cell(value, fits=fits) for value in row] for row in rows]
    widths = [
        max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(names)
    ]
    is_right = [
        all(_is_number(row[index]) for row in rows) and bool(rows) for index in range(len(names))
    ]
    lines = [
        GAP.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_right, strict=True)
        ).rstrip()
        for row in [list(names), ["-" * width for width in widths], *cells]
    ]
    if fits:
        columns = shutil.get_terminal_size().columns
        lines = [_cut(line, columns) for line in lines]
    return "\n".join(lines)


def _cell(value: object, *, fits: bool) -> str:
    match value:
        case None:
            text = "NULL"
        case str():
            text = value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    # Control characters of a stranger's text must not drive the terminal.
    safe = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
    return _cut(safe, MAX_CELL) if fits else safe


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
