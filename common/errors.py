"""The one family of errors that a person is meant to read."""


class DhmonError(Exception):
    """A failure that the reader can act on.

    Attributes:
        what: the thing that failed, named ("monitor.toml: probe[0].interval").
        why: the reason, in one clause.
        remedy: what the reader can do about it.
        exit_code: 1 for a failure, 2 for wrong usage or configuration.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str, remedy: str) -> None:
        super().__init__(f"{what}: {why}; {remedy}")
        self.what = what
        self.why = why
        self.remedy = remedy


class UsageError(DhmonError):
    """The command line or the configuration is wrong."""

    exit_code = 2
