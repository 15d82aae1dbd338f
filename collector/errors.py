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


class QueryError(DhmonError):
    """A caller's query fails: it is wrong, or what it computes cannot be computed."""


class RefusedQueryError(QueryError):
    """A caller's query contains what is not allowed."""


class QueryTimeoutError(StoreError):
    """A query took too long and was cancelled."""


class ReaderBusyError(StoreError):
    """Too many queries wait already; the same may be asked again a little later."""


class NotAcceptableError(DhmonError):
    """The caller accepts no format that we can answer in."""


class BackupError(DhmonError):
    """A backup could not be made, read or put back."""


class BusyStoreError(DhmonError):
    """The store is being backed up, checked or compacted already; one of these at a time."""


class MissingScopeError(DhmonError):
    """The caller's key is good, for other things."""


class TooLargeError(DhmonError):
    """A request is larger than what is taken at once."""


class UnknownEncodingError(DhmonError):
    """A body is compressed in a way that is not known here."""


class SlowRequestError(DhmonError):
    """A body did not come in time."""


class IngestBusyError(DhmonError):
    """Too much is in work; the same request may be sent again a little later."""
