"""Reports of long work in a terminal: a bar while it goes on, a line for what came of it."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click
import msgspec

from collector.model.report import (
    BackedUp,
    Checked,
    Compacted,
    Progress,
    Report,
    Restored,
    Verified,
)

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


class Show:
    """`say` each report; `last` is the newest that is no progress."""

    def __init__(self, *, as_json: bool) -> None:
        self.last: Report | None = None
        self._as_json = as_json
        self._step = ""
        self._bar: ProgressBar[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_bar()

    def say(self, report: Report) -> None:
        if isinstance(report, Progress):
            self._progress(report)
            return
        self._end_bar()
        self.last = report
        click.echo(msgspec.json.encode(report).decode() if self._as_json else in_words(report))

    def _progress(self, report: Progress) -> None:
        if self._as_json or not sys.stderr.isatty():
            return
        if report.step != self._step:
            self._end_bar()
            self._step = report.step
            label = f"{report.step} ({report.unit})"
            bar = click.progressbar(
                length=report.total, label=label, show_pos=True, file=sys.stderr
            )
            self._bar = bar
            bar.render_progress()
        if self._bar is not None:
            self._bar.update(report.done - self._bar.pos)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
        self._bar, self._step = None, ""


def in_words(report: Report) -> str:
    match report:
        case BackedUp():
            removed = f", {report.removed_snapshots} old ones removed"
            text = (
                f"snapshot {report.snapshot} in {report.folder}: {_size(report.size_bytes)} in "
                f"{report.blocks} blocks, {report.written_blocks} of them new "
                f"({_size(report.written_bytes)} written)"
                f"{removed if report.removed_snapshots else ''}"
            )
        case Checked():
            verdict = "ok" if report.differences == 0 else f"WRONG: {report.differences}"
            detail = f" ({report.detail})" if report.detail else ""
            text = f"{report.check:<38} {report.examined:>12,} {report.unit:<7} {verdict}{detail}"
        case Verified():
            wrong = f"{report.differences} differences" if report.differences else "all is well"
            text = f"{report.checks} checks: {wrong}"
        case Restored():
            text = (
                f"restored snapshot {report.snapshot} to {report.path} "
                f"({_size(report.size_bytes)}, schema version {report.schema_version})"
            )
        case Compacted():
            text = (
                f"{_size(report.bytes_before)} before, {_size(report.bytes_after)} after, "
                f"{report.rows:,} rows"
            )
        case Progress():
            text = f"{report.step}: {report.done} of {report.total} {report.unit}"
        case _:
            text = f"{report.what}: {report.why}; {report.remedy}"
    return text


def _size(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.1f} MiB"
