"""The regions of a platform are a list in one variable."""

import pytest

from libs.common.bus.settings import ServiceSettings
from libs.common.spec.regions import parse_regions


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("", ()),
        (" ", ()),
        ("eu-west-1", ("eu-west-1",)),
        ("eu-west-1, us.east_2", ("eu-west-1", "us.east_2")),
    ],
)
def test_a_list_is_read(text, regions):
    assert parse_regions(text) == regions


@pytest.mark.parametrize("text", ["a,", "a,,b", "a,a", "a b", "-a", "a" * 64, "é"])
def test_another_one_is_refused(text):
    with pytest.raises(ValueError, match="is not a list of regions"):
        parse_regions(text)


def test_a_service_reads_it_from_its_environment(monkeypatch):
    assert ServiceSettings().regions == ()
    monkeypatch.setenv("SPECSTREAM_REGIONS", "eu,us")
    assert ServiceSettings().regions == ("eu", "us")
