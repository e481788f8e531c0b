"""What checking a log has to remember of it, on disk: the same memory for a thousand events and a million."""

import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_CACHE_KIB = 4096

_HEADS = 1_000
"""That are kept in memory: most events follow one of their aggregate that was a short while ago."""


class Ledger:
    """The last hash of each aggregate, and every event id so far: `with` it, in any thread, one at a time.

    folder: where its file lies, which nobody else sees and which is gone when the process is. The default is
    the folder of temporary files, which may lie in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._heads: dict[str, str] = {}

    def __enter__(self) -> Self:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".check-") as folder:
            self._database = sqlite3.connect(
                f"{folder}/ledger.db", isolation_level=None, check_same_thread=False
            )
            self._run = self._database.execute
            # Nothing of it is ever needed again, so nothing has to survive anything.
            for pragma in (
                "journal_mode=OFF",
                "synchronous=OFF",
                "locking_mode=EXCLUSIVE",
                f"cache_size=-{_CACHE_KIB}",
            ):
                self._run(f"PRAGMA {pragma}")
            self._run("CREATE TABLE heads (aggregate TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID")
            self._run("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
            self._run("BEGIN")
            # The open file goes on without a name.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    @property
    def aggregates(self) -> int:
        self._write_heads()
        return int(self._run("SELECT count(*) FROM heads").fetchone()[0])

    def hash_of(self, aggregate: str) -> str | None:
        """Of the aggregate's last event; None before its first."""
        if (known := self._heads.get(aggregate)) is not None:
            return known
        row = self._run("SELECT hash FROM heads WHERE aggregate = ?", (aggregate,)).fetchone()
        return None if row is None else str(row[0])

    def set_hash(self, aggregate: str, stored: str) -> None:
        self._heads[aggregate] = stored
        if len(self._heads) > _HEADS:
            self._write_heads()

    def _write_heads(self) -> None:
        self._database.executemany("REPLACE INTO heads VALUES (?, ?)", sorted(self._heads.items()))
        self._heads.clear()

    def is_new(self, event_id: str) -> bool:
        """Whether no event had this id; it has one now."""
        return self._run("INSERT OR IGNORE INTO ids VALUES (?)", (event_id,)).rowcount == 1
