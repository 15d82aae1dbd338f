"""The dashboards as Grafana reads them: classic JSON, the same bytes from the same code."""

from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.home import home

DASHBOARDS: dict[str, Callable[[], Dashboard]] = {"home.json": home}


def built() -> dict[str, str]:
    """The text of every dashboard's file, by file name."""
    return {name: encode(dashboard()) for name, dashboard in DASHBOARDS.items()}


def encode(builder: Dashboard) -> str:
    """Panels are numbered in their order, because links to a panel name its number."""
    dashboard = builder.build()
    for number, panel in enumerate(dashboard.panels or [], start=1):
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"


def write(directory: Path) -> list[Path]:
    """Write every dashboard into `directory`; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in built().items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def outdated(directory: Path) -> list[Path]:
    """The files in `directory` that are missing or are not what the code builds now."""
    paths = {directory / name: text for name, text in built().items()}
    return [path for path, text in paths.items() if not _holds(path, text)]


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
