"""What can be configured, asked for or scraped is written down."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from collector.api.routes import ROUTES
from collector.signals.exposition import HOST_HELP
from collector.signals.probe_metrics import PROBE_FAMILIES
from common.cli import COMMANDS
from common.probe_settings import (
    AnswerExpectation,
    BannerExpectation,
    DnsProbe,
    HttpExpectation,
    HttpProbe,
    IcmpProbe,
    TcpProbe,
    TlsExpectation,
    TlsOptions,
    TlsProbe,
)
from common.settings import (
    CollectorSettings,
    ConnectivitySettings,
    LogSettings,
    Maintenance,
    OtelSettings,
    QuotaSettings,
    RedisSettings,
    Settings,
    UpSettings,
    WebSettings,
)
from common.store_settings import LakeSettings, S3Settings

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
HTTP = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODELS: list[type[BaseModel]] = [
    AnswerExpectation,
    BannerExpectation,
    CollectorSettings,
    ConnectivitySettings,
    DnsProbe,
    HttpExpectation,
    HttpProbe,
    IcmpProbe,
    LakeSettings,
    LogSettings,
    Maintenance,
    OtelSettings,
    QuotaSettings,
    RedisSettings,
    S3Settings,
    Settings,
    TcpProbe,
    TlsExpectation,
    TlsOptions,
    TlsProbe,
    UpSettings,
    WebSettings,
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_is_documented(model: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]

    missing = [key for key in keys if not re.search(rf"[`.\[]{key}[`\].]", CONFIGURATION)]

    assert missing == []


def test_every_route_of_the_collector_is_documented() -> None:
    missing = [route.path for route in ROUTES if f"`{route.method} {route.path}`" not in HTTP]

    assert missing == []


@pytest.mark.parametrize("name", [*PROBE_FAMILIES, *HOST_HELP])
def test_every_metric_is_documented(name: str) -> None:
    assert f"`{name}`" in METRICS


def test_every_command_is_in_the_readme() -> None:
    missing = [name for name in COMMANDS if f"`{name}" not in README]

    assert missing == []


@pytest.mark.parametrize(
    "document",
    sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]),
    ids=str,
)
def test_links_lead_somewhere(document: Path) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))

    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]

    assert broken == []
