"""Read models of an import, made of its file while its events are being stored."""

from pathlib import Path

import structlog

from libs.common.events.envelope import Position
from services.api.archive import work
from services.api.archive.own_process import ProcessEnded, started
from services.api.readmodels.prepared import Prepared

logger = structlog.get_logger()


async def prepare(events: Path, made: Path) -> Prepared | None:
    """None where they could not be made, as when one of the events cannot be taken in: then they are made as
    the events come from the log.

    made: where they are to lie, instead of what lies there.
    """
    _remove(made)
    prepared = None
    try:
        async with started(work.__name__, work.PREPARE, str(events), str(made)) as process:
            end = (await process.answer())["prepared"]
            prepared = Prepared(made, Position(end["sequence"], hash=end["hash"]))
    except (ProcessEnded, OSError) as error:
        logger.warning("read models of an import could not be prepared", error=str(error))
    finally:
        if prepared is None:
            _remove(made)
    return prepared


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
