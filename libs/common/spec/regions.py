"""The regions that a spec may name, as an operator lists them. Pure."""

import re

_REGION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

ALLOWED = "a list of regions with commas between them, each of at most 63 letters, digits, `.`, `_` and `-`"


def parse_regions(text: str) -> tuple[str, ...]:
    """Raises ValueError for what is none, or stands twice."""
    regions = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    if len(set(regions)) < len(regions) or not all(map(_REGION.fullmatch, regions)):
        raise ValueError(f"{text!r} is not {ALLOWED}")
    return regions
