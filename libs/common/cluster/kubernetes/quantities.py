"""Quantities and durations as the Kubernetes API writes them. Pure."""

import re
from typing import Final

_QUANTITY: Final = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?P<suffix>[a-zA-Z]*)")
_SUFFIXES: Final = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
_DURATION: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>h|ms|us|µs|ns|m|s)")
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def quantity(text: str) -> float | None:
    """A quantity as the API writes it; None for what is none."""
    found = _QUANTITY.fullmatch(text)
    factor = _SUFFIXES.get(found["suffix"]) if found else None
    return float(found["number"]) * factor if found and factor is not None else None


def seconds(duration: str) -> float:
    """Of a duration such as `1m2.5s`; 0 for what is none."""
    if _DURATION.sub("", duration):
        return 0.0
    return sum(float(one["number"]) * _UNIT_S[one["unit"]] for one in _DURATION.finditer(duration))
