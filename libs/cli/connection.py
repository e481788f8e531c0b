"""Which platform the command line talks to: the same environment variables as `make up`."""

import os
from pathlib import Path

from libs.cli.errors import CommandFailed
from libs.cli.looked_for import ELSEWHERE, KEY_FILE
from libs.client import Client
from libs.supervisor.errors import CannotStart
from libs.supervisor.settings import SupervisorSettings, from_environment


def platform_settings() -> SupervisorSettings:
    """Home, ports and key as `make up` reads them."""
    try:
        return from_environment(os.environ)
    except CannotStart as error:
        raise CommandFailed(str(error)) from error


def is_here() -> bool:
    """Whether `connect` gives a client of the home's own api."""
    return not os.environ.get(ELSEWHERE)


def connect() -> Client:
    """A client of the home's api. `SPECSTREAM_URL` points it at one elsewhere."""
    settings = platform_settings()
    url = os.environ.get(ELSEWHERE) or f"http://127.0.0.1:{settings.api_port}"
    return Client(url, settings.api_key or _stored_key(settings.home))


def _stored_key(home: Path) -> str | None:
    try:
        return (home / KEY_FILE).read_text().strip()
    except FileNotFoundError:
        return None  # the platform may be another one's, or not up yet: asking tells
    except OSError as error:
        raise CommandFailed(f"cannot read {home / KEY_FILE}: {error.strerror}") from error
