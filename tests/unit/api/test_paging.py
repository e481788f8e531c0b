"""Cursors belong to one kind of list and cannot be made up."""

import pytest

from libs.common.errors import BadRequest
from services.api.readmodels.paging import from_cursor, make_page, to_cursor


def test_a_page_ends_with_the_cursor_of_its_last_item():
    page = make_page("things", [9, 8, 7], 2, lambda item: item)
    assert (page.items, page.has_more) == ((9, 8), True)
    assert from_cursor("things", page.next_page or "") == 8


def test_the_last_page_has_no_cursor():
    page = make_page("things", [9, 8], 2, lambda item: item)
    assert (page.items, page.next_page) == ((9, 8), None)


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param("", id="empty"),
        pytest.param("12", id="a number"),
        pytest.param("é", id="not ASCII"),
        pytest.param("%%%", id="not base64"),
        pytest.param(to_cursor("others", 3), id="of another list"),
        pytest.param(to_cursor("things", 3) + "=", id="with padding"),
        pytest.param(to_cursor("things", -3), id="a negative place"),
    ],
)
def test_what_is_no_cursor_is_refused_by_name(cursor):
    with pytest.raises(BadRequest) as refused:
        from_cursor("things", cursor)
    assert refused.value.issues[0].path == ("after",)
