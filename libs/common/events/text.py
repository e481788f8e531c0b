"""How long a text in a fact may be, and what of it tells one from another. Pure."""

import re
from typing import Final

LONGEST = 256
"""Characters of a message in a fact, with what says how much is left out."""

_KEPT = 224
_IDS_AND_NUMBERS: Final = re.compile(r"[0-9a-f]*\d[0-9a-f]*")


def bounded(text: str) -> str:
    """`text`, or its beginning and how many characters are left out: never more than `LONGEST`.

    A fact about replicas repeats the message of each, and the broker takes no message above 1 MiB. Bounding
    what is bounded already changes nothing.
    """
    if len(text) <= LONGEST:
        return text
    return f"{text[:_KEPT]}… (+{len(text) - _KEPT:,} characters)"


def without_ids(text: str) -> str:
    """And without its numbers: what is the same of another replica, or a moment later."""
    return _IDS_AND_NUMBERS.sub("", text)
