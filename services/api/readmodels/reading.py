"""Reads of the read models, in threads of their own.

A read is one hop to a thread and back, whatever it has to do. The asynchronous driver hops for each step: for
a cursor, for running the statement, for its rows, for closing it, and for giving the connection back. On a
machine that is busy each hop waits for a processor, and what a read waited for was mostly that.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Executable, RowMapping

from services.api.readmodels.database import MAX_READERS, open_beside

READERS: Final = "reads"
"""What the names of the threads begin with."""


class Reading:
    """path: the file of the read models, which is there."""

    def __init__(self, path: Path) -> None:
        self._engine = open_beside(path, most=MAX_READERS)
        self._threads = ThreadPoolExecutor(MAX_READERS, thread_name_prefix=READERS)

    async def rows(self, query: Executable, **values: Any) -> list[RowMapping]:
        """values: of its parameters. Raises what SQLAlchemy raises."""
        running = asyncio.get_running_loop()
        return await running.run_in_executor(self._threads, self._rows, query, values)

    def close(self) -> None:
        """What is being read comes to its end first."""
        self._threads.shutdown()
        self._engine.dispose()

    def _rows(self, query: Executable, values: Mapping[str, Any]) -> list[RowMapping]:
        with self._engine.connect() as connection:
            return list(connection.execute(query, values).mappings())
