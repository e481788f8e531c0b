"""What libraries import only because it is installed, for features of theirs that most services never use.

| not found | by | which would use it for | used by |
|---|---|---|---|
| aiohttp | nats | websockets | the cluster of Kubernetes |
| greenlet | structlog | what belongs to one greenlet | the api, under SQLAlchemy |
| rich, and attr with it | structlog | tracebacks for people, in colour | nobody |
| uvicorn, and click with it | faststream | serving HTTP | the api |

Each takes CPU at every start of every process, all together four tenths of a second, and some MiB. So a
process that has imported `libs.common.lean` does not find them, unless `found` says that it uses one itself.
"""

import sys
from typing import Final

LEFT_OUT: Final = ("aiohttp", "greenlet", "rich", "uvicorn")

_used: set[str] = set()


def leave_out() -> None:
    for name in LEFT_OUT:
        if name not in _used:
            # None is Python's own way of saying that there is no such module; an imported one stays.
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def found(name: str) -> None:
    """This process uses it, whether or not it was left out; call it before the import."""
    _used.add(name)
    if name in sys.modules and sys.modules[name] is None:
        del sys.modules[name]
