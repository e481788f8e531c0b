"""Variables that were meant to be settings. Pure."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "SPECSTREAM_"
_ALIKE: Final = 0.87
"""Of what follows the prefix: a letter more, less or other, and no name of something else."""


def misspelt(present: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each variable that is no setting, and the setting whose name is nearly the same. Others may belong to
    somebody else, such as the tests, and are none of our business."""
    settings = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(present):
        rest = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and rest not in settings:
            for close in get_close_matches(rest, settings, n=1, cutoff=_ALIKE):
                yield name, settings[close]
