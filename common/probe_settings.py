"""What may stand in `[[probe]]`: one frozen model for each type of probe.

These models are the targets that the collector works with: parsed once, immutable afterwards.
"""

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, model_validator

from common.duration import Seconds, format_duration

RETRY_PAUSE_SECONDS = 1.0


def _check_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from None
    return pattern


def _check_host_port(address: str) -> str:
    host_port(address)
    return address


def host_port(address: str, default_port: int | None = None) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port"; raises ValueError when the port is missing or wrong."""
    parts = urlsplit("//" + address)
    port = parts.port if parts.port is not None else default_port
    if not parts.hostname or port is None or parts.path:
        raise ValueError('expected "host:port"')
    return parts.hostname, port


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError('expected "http://host:port/path" or "https://…"')
    return url


def _check_server(server: str) -> str:
    server_address(server, 53)
    return server


def server_address(server: str, default_port: int) -> tuple[str, int]:
    """As host_port; a bare IPv6 address will do too, without a port. Raises ValueError."""
    try:
        return str(ip_address(server)), default_port
    except ValueError:
        return host_port(server, default_port)


Regex = Annotated[str, AfterValidator(_check_regex)]
HostPort = Annotated[str, AfterValidator(_check_host_port)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Strict(BaseModel):
    """Unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(Strict):
    """What every probe may expect."""

    latency_seconds: Seconds | None = Field(None, alias="latency")


class TlsExpectation(Expectation):
    certificate_seconds: Seconds | None = Field(None, alias="certificate")


class HttpExpectation(TlsExpectation):
    """`header` maps names to patterns, `json` maps JMESPath expressions to values."""

    status: tuple[int, ...] = ()
    body: Regex | None = None
    header: dict[str, Regex] = {}
    json_values: dict[str, str | int | float | bool | None] = Field({}, alias="json")


class BannerExpectation(TlsExpectation):
    banner: Regex | None = None


class AnswerExpectation(Expectation):
    """`answer`: every one of these must be among the answers."""

    answer: tuple[str, ...] = ()
    rcode: str = "NOERROR"


class TlsOptions(Strict):
    """`ca` replaces the system's trust store, `server_name` the name that is verified."""

    ca: FilePath | None = None
    server_name: str | None = None
    verify: bool = True


class ProbeBase(Strict):
    """What every probe has; durations in seconds."""

    name: Name
    target: str = Field(min_length=1)
    interval_seconds: Annotated[Seconds, Field(ge=1)] = Field(30.0, alias="interval")
    timeout_seconds: Annotated[Seconds, Field(gt=0)] = Field(5.0, alias="timeout")
    retries: int = Field(2, ge=0, le=10)
    region: str = ""
    critical: bool = False
    ip: Literal["any", "4", "6"] = "any"

    @model_validator(mode="after")
    def fits_its_interval(self) -> Self:
        needed = self.timeout_seconds * (self.retries + 1) + RETRY_PAUSE_SECONDS * self.retries
        if needed > self.interval_seconds:
            raise ValueError(
                f"expected interval ≥ timeout * (retries + 1) + 1s * retries"
                f" = {format_duration(needed)}: raise interval, or lower timeout or retries"
            )
        return self


class HttpProbe(ProbeBase):
    type: Literal["http"]
    target: Annotated[str, Field(pattern=r"^https?://[^/]"), AfterValidator(_check_url)]
    method: Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"] = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    follow_redirects: bool = True
    tls: TlsOptions = TlsOptions()
    expect: HttpExpectation = HttpExpectation()


class TcpProbe(ProbeBase):
    """`starts_tls`: speak TLS from the first byte; `send`: what to say before the banner."""

    type: Literal["tcp"]
    target: HostPort
    starts_tls: bool = Field(False, alias="use_tls")
    send: str = ""
    tls: TlsOptions = TlsOptions()
    expect: BannerExpectation = BannerExpectation()


class DnsProbe(ProbeBase):
    """`target` is the name asked for; without `server`, A and AAAA go the way this machine asks."""

    type: Literal["dns"]
    record: Literal["A", "AAAA", "CNAME", "MX", "TXT", "NS"] = "A"
    server: Annotated[str, AfterValidator(_check_server)] | None = None
    protocol: Literal["udp", "tcp"] = "udp"
    expect: AnswerExpectation = AnswerExpectation()


class TlsProbe(ProbeBase):
    type: Literal["tls"]
    target: HostPort
    tls: TlsOptions = TlsOptions()
    expect: TlsExpectation = TlsExpectation()


class IcmpProbe(ProbeBase):
    type: Literal["icmp"]
    payload_bytes: int = Field(56, ge=0, le=1400)
    expect: Expectation = Expectation()


Probe = Annotated[
    HttpProbe | TcpProbe | DnsProbe | TlsProbe | IcmpProbe, Field(discriminator="type")
]
