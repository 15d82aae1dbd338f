"""What stands on the screen when everything answers."""

from dataclasses import dataclass

from common.up.account import FirstAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Base URLs; `prometheus` is None when it does not run."""

    web: str
    collector: str
    prometheus: str | None


def banner(addresses: Addresses, admin: FirstAdmin | None) -> str:
    """The last lines of a start; with the password of an account that was made in this start."""
    prometheus = addresses.prometheus or "does not run here; the reason stands above"
    lines = [
        "",
        "  DHgate Monitor is running.",
        "",
        f"  Web app      {addresses.web}",
        f"  Collector    {addresses.collector}",
        f"  Prometheus   {prometheus}",
        "",
    ]
    if admin is not None:
        lines += [*_account_lines(admin), ""]
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])


def account_only(admin: FirstAdmin) -> str:
    """For a start that ended too early for the banner: the password is nowhere else."""
    return "\n".join(["", "  An account was made in this start.", "", *_account_lines(admin), ""])


def _account_lines(admin: FirstAdmin) -> list[str]:
    return [
        f"  Name         {admin.name}",
        f"  Password     {admin.password}",
        "  Shown only this once. Another one: dhmon user passwd " + admin.name,
    ]
