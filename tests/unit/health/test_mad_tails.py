"""What somebody may have stored in the place of the last words of a replica."""

import json
import zlib
from typing import Any

import pytest

from libs.common.tails.tail import MOST_BYTES, MOST_UNPACKED, decode

GOOD = {"replica_id": "r", "problem": "", "lines": [["1", 0, "words"]]}


def packed(document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    "mad",
    [
        {"replica_id": 5},
        {"problem": ["p"]},
        {"lines": [[1, 0, "words"]]},
        {"lines": [["1", 0, {"not": "text"}]]},
        {"lines": [["1", 0, "\ud800"]]},
        {"lines": [["1", 10**30, "words"]]},
        {"lines": [["1", float("nan"), "words"]]},
        {"lines": 5},
    ],
)
def test_what_cannot_be_shown_is_none(mad):
    assert decode(packed(GOOD)) is not None
    assert decode(packed(GOOD | mad)) is None


def test_no_more_is_unpacked_than_last_words_can_be():
    long = packed(GOOD | {"lines": [["1", 0, "a" * MOST_UNPACKED]]})
    assert len(long) < MOST_BYTES
    assert decode(long) is None
