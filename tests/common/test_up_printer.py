"""Lines to a terminal that is slow, or gone."""

import io
import os
import re
import threading

from common.up.printer import MAX_WAITING_LINES, NAME_WIDTH, Printer


def nobody_minds() -> None:
    """The stream is not expected to be lost."""


def printed(name: str, text: str, *, colours: bool) -> str:
    reading, writing = os.pipe()
    with Printer(writing, colours=colours, on_lost=nobody_minds) as printer:
        printer.line(name, text)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        return stream.read().decode()


def test_names_take_the_same_width() -> None:
    assert printed("web", "ready", colours=False) == "web        | ready\n"
    assert printed("prometheus", "ready", colours=False) == "prometheus | ready\n"


def test_only_the_name_is_coloured() -> None:
    line = printed("web", "ready", colours=True)

    assert line == "\033[32m" + "web".ljust(NAME_WIDTH) + " | \033[0mready\n"


def test_nobody_waits_for_a_terminal_that_takes_nothing() -> None:
    reading, writing = os.pipe()
    with Printer(writing, colours=False, on_lost=nobody_minds) as printer:
        for number in range(MAX_WAITING_LINES * 2):
            printer.line("web", f"line {number}")
        printer.block("the banner")
        # Reading begins only now; what was said before this did not wait for it.
        text = _read_in_background(reading)
        while "the banner" not in text.getvalue():
            text.arrived.wait()
            text.arrived.clear()
        printer.line("web", "afterwards")
    os.close(writing)
    text.ended.wait()

    shown = len(re.findall(r"\| line \d+\n", text.getvalue()))
    left_out = re.findall(r"up +\| (\d+) lines are left out", text.getvalue())
    assert left_out
    assert shown + sum(map(int, left_out)) == MAX_WAITING_LINES * 2
    assert text.getvalue().endswith("\nweb        | afterwards\n")


def test_a_terminal_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with Printer(writing, colours=False, on_lost=lambda: os.close(writing)) as printer:
        printer.block("x" * 1_000_000)
        text = _read_in_background(reading)
    os.close(writing)
    text.ended.wait()

    assert len(text.getvalue()) == 1_000_001


def test_it_tells_once_that_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lost: list[bool] = []
    with Printer(writing, colours=False, on_lost=lambda: lost.append(True)) as printer:
        printer.line("web", "one")
        printer.line("web", "two")
    os.close(writing)

    assert lost == [True]


class Collected(io.StringIO):
    """What came through a pipe: `arrived` after each piece, `ended` after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.ended = threading.Event()


def _read_in_background(descriptor: int) -> Collected:
    text = Collected()

    def read() -> None:
        with os.fdopen(descriptor, "rb") as stream:
            while data := stream.read1():
                text.write(data.decode())
                text.arrived.set()
        text.ended.set()

    threading.Thread(target=read).start()
    return text
