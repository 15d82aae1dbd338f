"""Which series are in the store already: nearly all that come, and those cost no query."""

from collector.store.batches import Batch
from collector.store.database import Database

# 14 MiB; of more than these the store is asked each time.
MAX_KNOWN = 200_000


class KnownSeries:
    """What this process has seen on disk, until the file is opened again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opening = database.openings
        self._known: set[int] = set()

    def has_all(self, batch: Batch) -> bool:
        """Whether no row of `batch` can be new."""
        if self._opening != self._database.openings:
            self._opening = self._database.openings
            self._known.clear()
        return self._known.issuperset(batch.rows["series_id"].to_pylist())

    def learn(self, batch: Batch) -> None:
        """The rows of `batch` are on disk."""
        if len(self._known) < MAX_KNOWN:
            self._known.update(batch.rows["series_id"].to_pylist())
