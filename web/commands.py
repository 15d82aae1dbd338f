"""`dhmon web`."""

from importlib.metadata import version as package_version
from pathlib import Path

import click

from common import logs, telemetry
from common.cli import config_option
from common.server import serve
from common.settings import load
from web.app import create_app


@click.command()
@config_option
def web(config_path: Path | None) -> None:
    """Let people sign in and see how the platform is doing."""
    settings = load(config_path)
    logs.configure(settings.log, service="web")
    measuring = telemetry.start(
        settings.otel,
        service="web",
        version=package_version("dhgate-monitor"),
        environment=settings.environment,
    )
    serve(create_app(settings, measuring), settings.web.listen, key="web.listen")
