"""What the reference's own client sends beside what it means. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

NAME: Final = "paperspace-cli"
"""By which it names itself in `x-client`."""

FLAGS: Final = frozenset({"api-key", "api-url", "asc", "desc", "fields", "json", "log-level"})
"""Of its command line, about itself. Where it lists something it sends all that were given, as a query."""


def meant(
    pairs: Iterable[tuple[str, str]], *, path_params: Mapping[str, Any], client: str | None
) -> list[tuple[str, str]]:
    """The query without what was added to it. Releases send each path parameter once more.

    client: what the `x-client` of the request says.
    """
    flags = FLAGS if client == NAME else ()
    return [(name, value) for name, value in pairs if name not in flags and path_params.get(name) != value]
