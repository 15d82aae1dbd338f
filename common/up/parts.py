"""Our own processes: how each is called, and where it is reached."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from common.errors import UsageError
from common.listening import reachable
from common.settings import LogSettings, Settings
from common.up.banner import Addresses
from common.up.child import Program


def log_settings(settings: Settings) -> LogSettings:
    """For people at a terminal, unless a format was asked for."""
    if "format" in settings.log.model_fields_set:
        return settings.log
    return settings.log.model_copy(update={"format": "console"})


def environment(settings: Settings) -> Mapping[str, str]:
    return {**os.environ, "DHMON_LOG__FORMAT": log_settings(settings).format}


def dhmon_command(*words: str, config_path: Path | None) -> tuple[str, ...]:
    """`dhmon …` with this interpreter; -P, lest a file in this folder pass for one of ours."""
    config = () if config_path is None else (f"--config={config_path}",)
    return (sys.executable, "-P", "-m", "common.cli", *words, *config)


def part(name: str, settings: Settings, config_path: Path | None) -> Program:
    return Program(
        name=name,
        command=dhmon_command(name, config_path=config_path),
        environment=environment(settings),
        refusal=UsageError.exit_code,
    )


def addresses(settings: Settings, *, has_prometheus: bool) -> Addresses:
    """As a person on this machine types them."""
    return Addresses(
        web=settings.web.public_url or f"http://{reachable(settings.web.listen)}",
        collector=f"http://{reachable(settings.collector.listen)}",
        prometheus=f"http://{reachable(settings.up.prometheus)}" if has_prometheus else None,
    )
