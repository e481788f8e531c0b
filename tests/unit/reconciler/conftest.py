"""Thousands of played steps would each print what happened."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield
