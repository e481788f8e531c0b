"""The generated reference says what the code says."""

import pytest

from docs.generate import PAGES, REFERENCE


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_up_to_date(name):
    assert (REFERENCE / name).read_text() == PAGES[name](), "run `make docs`"
