"""The end of a log that is followed: exact, and held in a bounded number of bytes however much is written."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.cluster.kubernetes.last_lines import LastLines
from libs.common.cluster.port import last_of
from tests.support.kubelet_logs import parse_lines

MOST_BYTES = 1_000


def wrote(*lines: tuple[int, str]) -> bytes:
    """Each with the nanosecond of its time."""
    return "".join(f"2026-01-01T00:00:00.{at:09d}Z {text}\n" for at, text in lines).encode()


def followed(text: bytes, *, piece: int = 1 << 20, most_bytes: int = MOST_BYTES) -> LastLines:
    last = LastLines("r", most_bytes)
    for start in range(0, len(text), piece):
        last.take(text[start : start + piece])
    return last


lines = st.lists(st.tuples(st.integers(0, 3), st.text("ab é", max_size=60)), max_size=120)


@given(lines, st.sampled_from([1, 7, 100, 5_000]), st.booleans())
def test_the_last_lines_are_those_of_the_whole_log(written, piece, is_ended):
    """Their ids too, though many lines have the same time and the first of them are not held any more."""
    text = wrote(*sorted(written, key=lambda line: line[0]))
    text = text if is_ended else text.removesuffix(b"\n")
    whole = parse_lines("r", text)
    last = followed(text, piece=piece)
    held = last.end()
    assert held == whole[len(whole) - len(held) :]
    assert last.is_all is (len(held) == len(whole))
    assert last_of(held, MOST_BYTES // 2) == last_of(whole, MOST_BYTES // 2)


def test_a_line_without_a_time_has_no_place_among_those_of_one_time():
    line = wrote((7, "one of many"))
    text = (line * 3 + b"the rest of a line\n") * 50
    whole = parse_lines("r", text)
    held = followed(text).end()
    assert held == whole[-len(held) :]
    assert len(held) < len(whole)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_loses_its_end(end):
    begin = wrote((1, "before"))
    long = wrote((2, "x" * 10_000)).rstrip(b"\n")
    line = followed(begin + long + end, piece=64).end()[-1]
    assert line == parse_lines("r", long[:MOST_BYTES])[0]
    assert [one.message for one in followed(begin + long + b"\n" + wrote((3, "after"))).end()] == ["after"]


@pytest.mark.parametrize("text", ["a line of some usual length", "x" * 3_000_000, ""])
def test_what_is_held_does_not_grow_with_what_is_written(text):
    piece = wrote(*((number, text) for number in range(max(1, 100_000 // (len(text) + 1)))))
    unended = wrote((1, "x" * 1_000_000)).rstrip(b"\n")
    last = LastLines("r", 100_000)
    tracemalloc.start()
    try:
        for _ in range(5):
            last.take(piece)
        for _ in range(5):
            last.take(unended)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
