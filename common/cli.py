"""The `dhmon` command: one table of subcommands, each imported only when it is called."""

import importlib
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

from common.errors import DhmonError, UsageError


class Entry(NamedTuple):
    module: str
    attribute: str
    summary: str


# Names, not imports: `common` stands below the packages that it starts, and `dhmon web` must not
# pay for the collector's libraries.
COMMANDS = {
    "up": Entry("common.up.command", "up", "Run everything on this machine, in this terminal."),
    "collector": Entry("collector.commands", "collector", "Run the collector."),
    "web": Entry("web.commands", "web", "Run the web app."),
    "config": Entry("common.config_commands", "config", "Check or show the configuration."),
    "user": Entry("web.users.commands", "user", "Manage the people who may sign in."),
    "key": Entry("common.key_commands", "key", "Manage the keys of programs."),
    "backup": Entry("collector.care_commands", "backup", "Back the store up, while it is in use."),
    "restore": Entry("collector.care_commands", "restore", "Put a backup back."),
    "verify": Entry("collector.care_commands", "verify", "Check the store, or its backups."),
    "compact": Entry("collector.care_commands", "compact", "Give the store's free space back."),
    "sql": Entry("collector.sql_command", "sql", "Ask the store one SELECT."),
    "move": Entry("collector.move_commands", "move", "Move all rows between a file and a lake."),
    "lake": Entry("collector.lake_commands", "lake", "Look after a lake that collectors share."),
    "dashboards": Entry("dashboards.commands", "dashboards", "Build or check the dashboards."),
    "bench": Entry("tests.bench.command", "bench", "Measure this checkout beside its references."),
}


class LazyGroup(click.Group):
    """Lists the table; imports a command's module when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            module = importlib.import_module(entry.module)
        except ModuleNotFoundError as error:
            if error.name is None or not entry.module.startswith(error.name):
                raise
            raise UsageError(
                f"dhmon {cmd_name}",
                why="it is part of the checkout, not of an installed package",
                remedy="run it in a checkout",
            ) from None
        command: click.Command = getattr(module, entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dhgate-monitor", prog_name="dhmon")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; works on any command.")
def dhmon(debug: bool) -> None:
    """DHgate Monitor: is the platform up, and is it earning?"""


def main() -> NoReturn:
    """Run `dhmon`; an error is one sentence on stderr, with --debug a traceback."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        dhmon.main(args=arguments, prog_name="dhmon", standalone_mode=False)
    except (DhmonError, click.ClickException, click.Abort, KeyboardInterrupt, OSError) as error:
        if debug:
            raise
        sys.exit(report(error))
    sys.exit(0)


def report(error: BaseException) -> int:
    """Say on stderr what went wrong, and return the exit code for it."""
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case DhmonError():
            sentence, exit_code = str(error), error.exit_code
        case OSError():
            sentence, exit_code = f"{error}; check the path and its permissions", 1
        case _:
            sentence, exit_code = "interrupted", 130
    click.echo(f"dhmon: {sentence}", err=True)
    return exit_code


config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. [default: $DHMON_CONFIG, else ./monitor.toml]",
)

if __name__ == "__main__":
    main()
