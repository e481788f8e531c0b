"""What a subject filter matches, and filters that do not overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.log.filters import covers, disjoint, matches_any, overlap

_tokens = st.sampled_from(["a", "b"])
_subjects = st.lists(_tokens, min_size=1, max_size=4).map(".".join)
_filters = st.builds(
    lambda tokens, is_open: ".".join([*tokens, ">"] if is_open else tokens),
    st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        pytest.param("a.b", "a.b", True, id="a subject covers itself"),
        pytest.param("a.b", "a.c", False, id="another token"),
        pytest.param("a.*", "a.b", True, id="a star is any one token"),
        pytest.param("a.*", "a.b.c", False, id="a star is not two"),
        pytest.param("a.*", "a", False, id="a star is not none"),
        pytest.param("a.>", "a.b", True, id="an open end is one token"),
        pytest.param("a.>", "a.b.c", True, id="an open end is several"),
        pytest.param("a.>", "a", False, id="an open end is not none"),
        pytest.param(">", "a", True, id="everything"),
        pytest.param("a.*", "a.*", True, id="a star covers a star"),
        pytest.param("a.b", "a.*", False, id="a token does not cover a star"),
        pytest.param("a.*", "a.>", False, id="a star does not cover an open end"),
        pytest.param("a.>", "a.*", True, id="an open end covers a star"),
        pytest.param("*.b", "a.b", True, id="a star in front"),
    ],
)
def test_covers(wide: str, narrow: str, is_covered: bool):
    assert covers(wide, narrow) is is_covered


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param(["a.*", "b.*"], ("a.*", "b.*"), id="filters side by side stay"),
        pytest.param(["a.*", "a.*"], ("a.*",), id="a filter twice is once"),
        pytest.param(["a.b", "a.*"], ("a.*",), id="one that another covers is dropped"),
        pytest.param(["a.*", "a.b"], ("a.*",), id="in either order"),
        pytest.param(["a.*", "*.b"], (">",), id="two that overlap in part become everything"),
    ],
)
def test_disjoint(filters: list[str], expected: tuple[str, ...]):
    assert disjoint(filters) == expected


@given(one=_filters, other=_filters, subject=_subjects)
def test_what_both_match_overlaps(one: str, other: str, subject: str):
    if covers(one, subject) and covers(other, subject):
        assert overlap(one, other)
        assert overlap(other, one)


@given(wide=_filters, narrow=_filters, subject=_subjects)
def test_what_is_covered_matches_no_more(wide: str, narrow: str, subject: str):
    if covers(wide, narrow) and covers(narrow, subject):
        assert covers(wide, subject)


@given(filters=st.lists(_filters, min_size=1, max_size=4), subject=_subjects)
def test_disjoint_filters_miss_nothing_and_never_overlap(filters: list[str], subject: str):
    narrow = disjoint(filters)
    if matches_any(filters, subject):
        assert sum(covers(one, subject) for one in narrow) == 1
