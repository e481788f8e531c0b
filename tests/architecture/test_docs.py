"""The generated reference says what the code says."""

from docs.generate import PAGES, REFERENCE


def test_the_reference_is_up_to_date():
    outdated = [name for name, page in PAGES.items() if (REFERENCE / name).read_text() != page()]
    assert outdated == [], "run `make docs`"
