"""`dhmon collector`."""

from importlib.metadata import version as package_version
from pathlib import Path

import click

from collector.app import Reload, create_app
from common import logs, telemetry
from common.cli import config_option
from common.server import serve
from common.settings import load


@click.command()
@config_option
def collector(config_path: Path | None) -> None:
    """Probe the targets, sample this host, keep it all in DuckDB, serve it.

    SIGHUP reads the configuration again; SIGTERM or Ctrl-C stops with nothing lost.
    """
    settings = load(config_path)
    logs.configure(settings.log, service="collector")
    version = package_version("dhgate-monitor")
    measuring = telemetry.start(
        settings.otel,
        service="collector",
        version=version,
        environment=settings.environment,
    )
    reload = Reload(config_path)
    app = create_app(settings, measuring, version=version, reload=reload)
    serve(app, settings.collector.listen, key="collector.listen", on_reload=reload.requested.set)
