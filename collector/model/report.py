"""What long work on the store tells on its way, one JSON line each."""

from collections.abc import Callable
from datetime import datetime

import msgspec


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """`done` of `total` in `unit`, within one `step`."""

    step: str
    done: int
    total: int
    unit: str


class BackedUp(msgspec.Struct, frozen=True, kw_only=True, tag="backed_up"):
    """A snapshot is whole and on disk; `written_*`: what was not there before."""

    snapshot: str
    taken_at: datetime
    folder: str
    size_bytes: int
    blocks: int
    written_blocks: int
    written_bytes: int
    removed_snapshots: int


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag="checked"):
    """One check: what was looked at, and how much of it is wrong."""

    check: str
    examined: int
    unit: str
    differences: int
    detail: str = ""


class Verified(msgspec.Struct, frozen=True, kw_only=True, tag="verified"):
    checks: int
    differences: int


class Restored(msgspec.Struct, frozen=True, kw_only=True, tag="restored"):
    snapshot: str
    path: str
    size_bytes: int
    schema_version: int


class Compacted(msgspec.Struct, frozen=True, kw_only=True, tag="compacted"):
    bytes_before: int
    bytes_after: int
    rows: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The work ended with an error, in the words of DhmonError."""

    what: str
    why: str
    remedy: str


Report = Progress | BackedUp | Checked | Verified | Restored | Compacted | Failed
Say = Callable[[Report], None]
