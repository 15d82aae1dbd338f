"""The whole configuration: `monitor.toml`, then `DHMON_*` variables, checked at once."""

import os
import tomllib
from collections import Counter
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common.duration import Seconds
from common.errors import UsageError
from common.probe_settings import HostPort, Probe, Strict, host_port
from common.secret import REFERENCE_EXPECTED, EncryptionKey, Secret, without_password
from common.store_settings import (
    LakeCatalogue,
    LakeSettings,
    RetentionSettings,
    StorePlace,
    file_of,
)

ENV_PREFIX = "DHMON_"
DEFAULT_PATH = Path("monitor.toml")


def _check_redis_url(url: str) -> str:
    if url != "embedded" and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError('expected "embedded", redis://…, rediss://… or unix://…')
    return url


def _check_web_database(url: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql+asyncpg://")):
        raise ValueError('expected "sqlite:///path" or "postgresql+asyncpg://…"')
    return url


class ConnectivitySettings(Strict):
    """TCP addresses that answer whenever this machine's own uplink works; none = not checked."""

    targets: tuple[HostPort, ...] = ()
    timeout_seconds: Seconds = Field(2.0, alias="timeout")


class QuotaSettings(Strict):
    """Events a minute that one key may send, by its tier; the tier `unlimited` has no quota."""

    free: int = Field(6_000, ge=1)
    standard: int = Field(600_000, ge=1)
    premium: int = Field(6_000_000, ge=1)


class CollectorSettings(Strict):
    """`data` is a DuckDB file or the catalogue of the DuckLake that `lake` tells more about.

    What retention deletes goes to `archive` first, when that is set. `require_key` unset means:
    needed beyond development loopback.
    """

    listen: HostPort = "127.0.0.1:8090"
    data: StorePlace = Path("data/monitor.duckdb")
    data_directory: Path | None = None
    lake: LakeSettings | None = None
    retention: RetentionSettings = RetentionSettings()
    archive: Path | None = None
    connectivity: ConnectivitySettings = ConnectivitySettings()
    host_interval_seconds: Annotated[Seconds, Field(ge=1)] = Field(15.0, alias="host_interval")
    require_key: bool | None = None
    service_key: Secret | None = None
    encryption_key: EncryptionKey | None = None
    quota: QuotaSettings = QuotaSettings()

    @model_validator(mode="after")
    def a_lake_has_a_data_path(self) -> Self:
        if isinstance(self.data, LakeCatalogue) != (self.lake is not None):
            raise ValueError('expected data = "ducklake:…" and lake = { data_path, … } together')
        if self.lake is not None and self.encryption_key is not None:
            raise ValueError("expected no encryption_key with a lake: encrypt its disk or bucket")
        return self


class WebSettings(Strict):
    """`public_url` is the address people type; it decides the cookie and the accepted origins."""

    listen: HostPort = "127.0.0.1:8080"
    database: Annotated[
        str, AfterValidator(_check_web_database), PlainSerializer(without_password)
    ] = "sqlite:///data/web.db"
    public_url: str | None = None
    collector_url: str | None = None
    session_idle_seconds: Seconds = Field(30 * 60.0, alias="session_idle")
    session_absolute_seconds: Seconds = Field(12 * 3600.0, alias="session_absolute")


class RedisSettings(Strict):
    url: Annotated[str, AfterValidator(_check_redis_url), PlainSerializer(without_password)] = (
        "embedded"
    )


class OtelSettings(Strict):
    """`endpoint`: OTLP/HTTP base URL; empty = off. `sample_ratio`: share of traces kept."""

    endpoint: str = ""
    sample_ratio: float = Field(1.0, ge=0, le=1)


class LogSettings(Strict):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class UpSettings(Strict):
    """`dhmon up` starts Prometheus on this address when its binary is there."""

    prometheus: HostPort = "127.0.0.1:9090"


class Maintenance(Strict):
    """From `start` (inclusive) to `end` (exclusive); `match` names, all keys must be equal."""

    match: dict[Literal["name", "region", "type"], str]
    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def ends_after_it_starts(self) -> Self:
        if self.end <= self.start:
            raise ValueError("expected end to be after start")
        return self

    def covers(self, probe: Probe, now: datetime) -> bool:
        return self.start <= now < self.end and all(
            getattr(probe, key) == value for key, value in self.match.items()
        )


class Settings(BaseSettings):
    """Everything that can be configured; `data_directory` is where all files of ours live."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    environment: Literal["development", "staging", "production"] = "development"
    collector: CollectorSettings = CollectorSettings()
    web: WebSettings = WebSettings()
    redis: RedisSettings = RedisSettings()
    otel: OtelSettings = OtelSettings()
    log: LogSettings = LogSettings()
    up: UpSettings = UpSettings()
    probe: tuple[Probe, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="after")
    def names_are_unique(self) -> Self:
        twice = [name for name, count in Counter(p.name for p in self.probe).items() if count > 1]
        if twice:
            raise ValueError(
                f"expected every probe to have its own name; twice: {', '.join(twice)}"
            )
        return self

    @model_validator(mode="after")
    def production_is_reached_over_tls(self) -> Self:
        url = self.web.public_url
        if self.environment != "development" and not (url and url.startswith("https://")):
            raise ValueError(f"expected web.public_url to be https://… in {self.environment}")
        return self

    @property
    def data_directory(self) -> Path:
        chosen = self.collector.data_directory
        if chosen is None:
            data = self.collector.data
            chosen = data.parent if isinstance(data, Path) else Path("data")
        return chosen.absolute()

    @property
    def store_file(self) -> Path:
        """The DuckDB file. Raises UsageError where measurements are in a lake instead."""
        return file_of(self.collector.data)

    @property
    def collector_url(self) -> str:
        return self.web.collector_url or f"http://{self.collector.listen}"

    @property
    def collector_requires_key(self) -> bool:
        """Reading without a key is for one developer on one machine."""
        if self.collector.require_key is not None:
            return self.collector.require_key
        host, _ = host_port(self.collector.listen)
        return self.environment != "development" or not is_loopback(host)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def load(path: Path | None = None) -> Settings:
    """Read and check the whole configuration.

    `path` unset means DHMON_CONFIG, else ./monitor.toml, which may be absent.
    Raises UsageError holding every problem, a line each.
    """
    chosen = path or Path(os.environ.get(f"{ENV_PREFIX}CONFIG", DEFAULT_PATH))
    required = path is not None or f"{ENV_PREFIX}CONFIG" in os.environ
    try:
        return Settings(**_read_toml(chosen, required=required))
    except ValidationError as error:
        problems = [_describe(chosen, problem) for problem in error.errors(include_url=False)]
        raise InvalidConfigError(chosen, problems) from None


class InvalidConfigError(UsageError):
    """All that is wrong with a configuration, in `problems`."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(
            str(path),
            why=f"the configuration has {len(problems)} error{'s' if len(problems) > 1 else ''}",
            remedy="correct it:\n  " + "\n  ".join(problems),
        )
        self.problems = problems


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise UsageError(
            str(path), why="there is no such file", remedy="give another with --config FILE"
        ) from None
    except OSError as error:
        raise UsageError(
            str(path), why=f"cannot be read ({error.strerror})", remedy="check its permissions"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            str(path), why=f"is not valid TOML: {error}", remedy="correct that line"
        ) from None


def _describe(path: Path, problem: Any) -> str:
    """One line: file (or variable), key, value, what is expected."""
    location = tuple(part for part in problem["loc"] if part not in _UNION_TAGS)
    key = _dotted(location)
    variable = ENV_PREFIX + "__".join(str(part) for part in location).upper()
    source = variable if variable in os.environ else f"{path}: {key}" if key else str(path)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{source}: required, and missing"
    if problem["type"] == "extra_forbidden":
        return f"{source}: unknown key; see docs/configuration.md"
    shows_no_value = isinstance(problem["input"], dict | Strict) or message == REFERENCE_EXPECTED
    if not location or shows_no_value:
        return f"{source}: {message}"
    return f"{source} = {without_password(repr(problem['input']))}: {message}"


_UNION_TAGS = frozenset({"http", "tcp", "dns", "tls", "icmp"})


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
