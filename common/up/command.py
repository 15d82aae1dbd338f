"""`dhmon up`."""

import asyncio
import os
import sys
from pathlib import Path

import click

from common import logs
from common.cli import config_option
from common.settings import Settings, load
from common.up.parts import log_settings
from common.up.preflight import check_addresses, check_data_folder
from common.up.printer import Printer, PrinterHandler
from common.up.stack import Stack


@click.command()
@config_option
@click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR=1.")
def up(config_path: Path | None, no_color: bool) -> None:
    """Run everything on this machine, in this terminal.

    Collector, web app, the embedded Valkey, and Prometheus when it is installed. What dies is
    started again. Ctrl-C stops it all, with nothing lost; SIGHUP reads the configuration again.
    """
    settings = load(config_path)
    check_data_folder(settings.data_directory)
    check_addresses(settings)
    colours = logs.colours_wanted(sys.stdout.isatty()) and not no_color
    # For the children as well: what they write to is a pipe, whatever we write to.
    os.environ["FORCE_COLOR" if colours else "NO_COLOR"] = "1"
    asyncio.run(_run(settings, config_path, colours=colours))


async def _run(settings: Settings, config_path: Path | None, *, colours: bool) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.call_soon_threadsafe(stack.end)

    with Printer(sys.stdout.fileno(), colours=colours, on_lost=end) as printer:
        logs.configure(log_settings(settings), service="up", handler=PrinterHandler(printer))
        stack = Stack(settings, config_path, printer)
        await stack.run()
