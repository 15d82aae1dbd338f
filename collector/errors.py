"""The collector's own failures; `collector/api/errors.py` maps them to HTTP."""

from common.errors import DhmonError


class StoreError(DhmonError):
    """The store could not be opened, read or written."""


class StoreBusyError(StoreError):
    """The write queue is full; the same rows may be sent again a little later."""


class InvalidRequestError(DhmonError):
    """A caller's parameter cannot be understood."""


class MissingKeyError(DhmonError):
    """The caller did not prove who it is."""
