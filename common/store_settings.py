"""Where the collector keeps its measurements: a DuckDB file, or a DuckLake that several share."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from common.duration import Seconds, parse_duration
from common.errors import UsageError
from common.probe_settings import Strict
from common.secret import Secret, without_password

LAKE_PREFIX = "ducklake:"
POSTGRES_PREFIX = "ducklake:postgres:"


@dataclass(frozen=True, slots=True)
class LakeCatalogue:
    """The PostgreSQL database that holds a DuckLake's catalogue; `address` as libpq reads it."""

    address: str = field(repr=False)

    def __str__(self) -> str:
        return POSTGRES_PREFIX + without_password(self.address)


def _read_place(value: object) -> Path | LakeCatalogue:
    if isinstance(value, Path | LakeCatalogue):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError('expected the path of a file or "ducklake:postgres:…"')
    if not value.startswith(LAKE_PREFIX):
        return Path(value)
    address = value.removeprefix(POSTGRES_PREFIX)
    if address == value or not address.strip():
        raise ValueError('expected "ducklake:postgres:dbname=… host=…"')
    return LakeCatalogue(address)


def _check_endpoint(address: str) -> str:
    if not address.startswith(("http://", "https://")) or not address.partition("//")[2]:
        raise ValueError('expected "https://host:port" or "http://host:port"')
    return address.rstrip("/")


def _check_data_path(path: str) -> str:
    """With a slash at its end, as DuckLake wants it; a path on disk is made absolute."""
    if path.startswith("s3://"):
        if not path.removeprefix("s3://").strip("/"):
            raise ValueError('expected "s3://bucket/prefix"')
        return path.rstrip("/") + "/"
    if "://" in path or not path:
        raise ValueError('expected "s3://bucket/prefix" or a path that all collectors share')
    return f"{Path(path).absolute()}/"


StorePlace = Annotated[
    Path | LakeCatalogue, PlainValidator(_read_place), PlainSerializer(str, return_type=str)
]


def file_of(place: Path | LakeCatalogue) -> Path:
    """The DuckDB file. Raises UsageError where measurements are in a lake instead."""
    if isinstance(place, Path):
        return place.absolute()
    raise UsageError(
        f"collector.data = {place}",
        why="this works on a DuckDB file, not on a lake",
        remedy="see docs/scale.md for what does the same for a lake",
    )


def _parse_retention(value: object) -> float:
    return float("inf") if value == "forever" else parse_duration(value)


Retention = Annotated[float, BeforeValidator(_parse_retention)]


class RetentionSettings(Strict):
    """How long each level is kept, in seconds; "forever" is infinite."""

    raw: Retention = 14 * 86_400.0
    minute: Retention = 90 * 86_400.0
    hour: Retention = 5 * 31_536_000.0
    ledger: Retention = float("inf")

    @model_validator(mode="after")
    def coarser_is_kept_longer(self) -> Self:
        if not self.raw <= self.minute <= self.hour:
            raise ValueError("expected raw ≤ minute ≤ hour: what is coarser is kept for longer")
        return self


class S3Settings(Strict):
    """Unset `endpoint` means AWS; any other place is asked with the bucket in the path."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] | None = None
    region: str = "us-east-1"
    key_id: Secret
    secret: Secret


class LakeSettings(Strict):
    """What a lake needs beside its catalogue; all its collectors say the same, but for `node`.

    `node`: this collector's name on what it measures of its own machine; unset: the host's name.
    `inline_rows`: up to so many rows of a table in one commit go to PostgreSQL and become files
    later. `keep_snapshots`: how long readers may look back, and replaced files stay.
    """

    node: Annotated[str, Field(min_length=1)] = Field(default_factory=socket.gethostname)
    data_path: Annotated[str, AfterValidator(_check_data_path)]
    password: Secret | None = None
    s3: S3Settings | None = None
    inline_rows: Annotated[int, Field(ge=0, le=10_000)] = 200
    keep_snapshots_seconds: Annotated[Seconds, Field(ge=600)] = Field(
        86_400.0, alias="keep_snapshots"
    )
    maintain_seconds: Annotated[Seconds, Field(ge=1)] = Field(300.0, alias="maintain_every")

    @model_validator(mode="after")
    def a_bucket_needs_its_keys(self) -> Self:
        if self.data_path.startswith("s3://") and self.s3 is None:
            raise ValueError("expected s3 = { key_id, secret, … } beside a data_path of s3://…")
        return self
