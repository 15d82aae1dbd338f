"""`dhmon backup|restore|verify|compact`: care of the store, whether or not the collector runs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import msgspec
from pydantic import SecretStr

from collector.model.report import Say, Verified
from collector.running import running_collector
from collector.show import Show
from collector.store.backup import BackupOptions
from collector.store.care import back_up_closed, compact_closed, encrypt_closed, verify_closed
from collector.store.restore import restore as restore_snapshot
from collector.store.restore import verify_folder
from collector.store.snapshots import SnapshotFolder
from common.cli import config_option
from common.settings import Settings, load

Here = Callable[[Path, SecretStr | None, Say], Awaitable[None]]
json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON line each.")
folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.command()
@folder_argument
@click.option("--full", is_flag=True, help="Write every block anew, also those that are there.")
@click.option("--keep", type=click.IntRange(min=1), help="Remove all but the newest N snapshots.")
@click.option("--list", "is_list", is_flag=True, help="List the snapshots in FOLDER.")
@json_option
@config_option
def backup(
    folder: Path,
    full: bool,
    keep: int | None,
    is_list: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Back the store up to FOLDER: what is there already is not written again.

    The collector goes on writing meanwhile. The snapshot is the store as it was at the beginning.
    """
    if is_list:
        _list_snapshots(folder, as_json=as_json)
        return
    settings = load(config_path)
    options = BackupOptions(folder.absolute(), full=full, keep=keep)
    body: dict[str, object] = {"folder": str(options.folder), "full": full, "keep": keep}

    async def here(path: Path, key: SecretStr | None, say: Say) -> None:
        await back_up_closed(path, key, options, say)

    with Show(as_json=as_json) as show:
        _asked_or_done(settings, "/api/v1/store/backup", body, here, show)


@click.command()
@folder_argument
@click.option("--snapshot", help="Which one; see dhmon backup --list. [default: the newest]")
@click.option(
    "--to",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to. [default: collector.data]",
)
@json_option
@config_option
def restore(
    folder: Path, snapshot: str | None, path: Path | None, as_json: bool, config_path: Path | None
) -> None:
    """Put a snapshot from FOLDER back, into a place where nothing is.

    Every block is verified before anything is written.
    """
    settings = load(config_path)
    target = path.absolute() if path else settings.store_file
    with Show(as_json=as_json) as show:
        restore_snapshot(folder, snapshot, target, settings.collector.encryption_key, show.say)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@json_option
@config_option
def verify(folder: Path | None, as_json: bool, config_path: Path | None) -> None:
    """Check the store, or the backups in FOLDER; exit 1 when anything is wrong.

    The store: every block is read, roll-ups are compared with what they were made of, each event
    is there once, every series is known.
    """
    with Show(as_json=as_json) as show:
        if folder is not None:
            verify_folder(folder, show.say)
        else:
            _asked_or_done(load(config_path), "/api/v1/store/verify", {}, verify_closed, show)
    match show.last:
        case Verified(differences=0):
            return
        case _:
            sys.exit(1)


@click.command()
@click.option(
    "--encrypt",
    is_flag=True,
    help="Encrypt a plain store with collector.encryption_key, while no collector runs.",
)
@json_option
@config_option
def compact(encrypt: bool, as_json: bool, config_path: Path | None) -> None:
    """Write the store into a fresh file that takes no more space than it needs.

    Rows that come meanwhile wait. The collector does it by itself when most of the file is free.
    """
    settings = load(config_path)
    with Show(as_json=as_json) as show:
        if encrypt:
            path, key = settings.store_file, settings.collector.encryption_key
            asyncio.run(encrypt_closed(path, key, show.say))
        else:
            _asked_or_done(settings, "/api/v1/store/compact", {}, compact_closed, show)


def _asked_or_done(
    settings: Settings, route: str, body: dict[str, object], here: Here, show: Show
) -> None:
    """The running collector does it, else this process, `here`.

    Raises UsageError where there is no file to do it with.
    """
    path, key = settings.store_file, settings.collector.encryption_key

    async def main() -> None:
        async with running_collector(settings) as collector:
            if collector is not None:
                await collector.follow(route, body, show.say)
                return
        await here(path, key, show.say)

    asyncio.run(main())


def _list_snapshots(folder: Path, *, as_json: bool) -> None:
    snapshots = SnapshotFolder(folder)
    for snapshot in map(snapshots.read, snapshots.ids()):
        if as_json:
            facts = msgspec.to_builtins(snapshot)
            click.echo(msgspec.json.encode({**facts, "blocks": len(snapshot.blocks)}).decode())
        else:
            kind = "encrypted" if snapshot.encrypted else "plain"
            click.echo(
                f"{snapshot.id}  {snapshot.size_bytes / (1 << 20):>10,.1f} MiB  "
                f"schema {snapshot.schema_version}  {kind}  dhmon {snapshot.dhmon_version}"
            )
