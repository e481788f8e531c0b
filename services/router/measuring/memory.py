"""What the router remembers of Envoy's counters over its own restart: a file where the two meet."""

import json
import os
from contextlib import suppress
from typing import Any, Final

import structlog

from libs.common.envoy_folder import COUNTS

logger = structlog.get_logger()

_NEXT: Final = f"{COUNTS}.next"
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class CountsFile:
    """Without it, or with one that cannot be read, totals begin anew with what Envoy still has: what readers
    see then is a fall, which is an interval of which nothing is known, and no wrong number.
    """

    def __init__(self, folder: int) -> None:
        """folder: a descriptor of it."""
        self._folder = folder

    def read(self) -> object:
        """What was written last; None where there is none."""
        try:
            with os.fdopen(os.open(COUNTS, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)) as file:
                return json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("remembered counts cannot be read", error=str(error))
            return None

    def write(self, memory: Any) -> None:
        """It is a matter of a restart to come, so a full disk is no reason to stop."""
        try:
            with os.fdopen(os.open(_NEXT, _FLAGS, 0o600, dir_fd=self._folder), "w") as file:
                json.dump(memory, file, separators=(",", ":"))
            os.rename(_NEXT, COUNTS, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError as error:
            logger.warning("counts cannot be remembered", error=str(error))
            with suppress(OSError):
                os.unlink(_NEXT, dir_fd=self._folder)
