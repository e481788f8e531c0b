"""Which platform the command line talks to: the same environment variables as `make up`."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from libs.cli.errors import USAGE, CommandFailed
from libs.cli.looked_for import ELSEWHERE, KEY_FILE
from libs.client import Client
from libs.supervisor.errors import CannotStart
from libs.supervisor.settings import SupervisorSettings, from_environment


def platform_settings() -> SupervisorSettings:
    """Home, ports and key as `make up` reads them."""
    try:
        return from_environment(os.environ)
    except CannotStart as error:
        raise CommandFailed(*str(error).splitlines(), status=USAGE) from error


def is_here() -> bool:
    """Whether `connect` gives a client of the home's own api."""
    return not os.environ.get(ELSEWHERE)


def connect() -> Client:
    """A client of the home's api. `SPECSTREAM_URL` points it at one elsewhere."""
    settings = platform_settings()
    url = _elsewhere() or f"http://127.0.0.1:{settings.api_port}"
    return Client(url, settings.api_key or _stored_key(settings.home))


def _elsewhere() -> str | None:
    """Raises CommandFailed for what is no address."""
    url = os.environ.get(ELSEWHERE) or None
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, half an IPv6 address
        is_sound = False
    if not is_sound:
        problem = f"{ELSEWHERE}: {url!r} is not an address such as http://127.0.0.1:8080 or https://HOST"
        raise CommandFailed(problem, status=USAGE)
    return url


def _stored_key(home: Path) -> str | None:
    try:
        return (home / KEY_FILE).read_text().strip()
    except FileNotFoundError:
        return None  # the platform may be another one's, or not up yet: asking tells
    except OSError as error:
        raise CommandFailed(f"cannot read {home / KEY_FILE}: {error.strerror}") from error
