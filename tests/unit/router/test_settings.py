"""A router is one of so many, and is called by its number."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.router.settings import Settings


@pytest.mark.parametrize(("number", "name"), [(1, "router"), (2, "router-2"), (3, "router-3")])
def test_it_is_called_by_its_number(number: int, name: str) -> None:
    assert Settings(envoy_folder=Path("/e"), copy_number=number, routers=3).router == name


@pytest.mark.parametrize(("number", "routers"), [(2, 1), (3, 2), (1, 0), (1, 4)])
def test_one_that_cannot_be_is_refused(number: int, routers: int) -> None:
    with pytest.raises(ValidationError, match=r"routers|SPECSTREAM_ROUTERS"):
        Settings(envoy_folder=Path("/e"), copy_number=number, routers=routers)
