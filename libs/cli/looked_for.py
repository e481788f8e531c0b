"""Where the command line looked for the platform and its key: hints for one who was refused."""

import os
from collections.abc import Iterator

from libs.supervisor.settings import from_environment

ELSEWHERE = "SPECSTREAM_URL"
KEY_FILE = "api-key"
"""In the home."""


def of_the_key() -> Iterator[str]:
    """Which key was shown. Raises CannotStart where the environment is wrong, with which nobody was asked."""
    settings = from_environment(os.environ)
    file = settings.home / KEY_FILE
    if settings.api_key is None and not file.exists():
        yield f"  no key was shown: SPECSTREAM_API_KEY is not set, and there is no {file}"
        yield "  SPECSTREAM_HOME says where the home of the platform is (~/.specstream without it)"
        return
    yield f"  the key is {'SPECSTREAM_API_KEY' if settings.api_key else f'that in {file} (SPECSTREAM_HOME)'}:"
    yield "  is it the one that this platform was started with?"


def of_the_address() -> Iterator[str]:
    """A hint where the address has a path, which is right only behind a proxy that takes it away."""
    url = os.environ.get(ELSEWHERE, "")
    if path := url.partition("://")[2].partition("/")[2].strip("/"):
        yield f"  {ELSEWHERE} is {url}: an address is given without a path, is /{path} one too much?"
