"""Exit statuses and how an error is told. The statuses are those of the second reference's CLI (3.5)."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from libs.cli import looked_for, show
from libs.client import ApiError, ClientError, Unreachable

GENERIC, USAGE, AUTH, NOT_FOUND, VALIDATION, SERVER, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130

ALLOWED_BESIDE = 60
"""Characters; a longer list of what is allowed gets a line of its own."""


class CommandFailed(Exception):
    """A command did what it could and the outcome is not what was asked; `lines` say why."""

    def __init__(self, *lines: str, status: int = GENERIC) -> None:
        self.lines = lines
        self.status = status
        super().__init__("\n".join(lines))


def status_of(error: ClientError) -> int:
    """
    | error                       | exit status |
    |-----------------------------|-------------|
    | 401, 403                    | 3           |
    | 404                         | 4           |
    | any other 4xx               | 5           |
    | 5xx                         | 6           |
    | the api does not answer     | 1           |
    """
    if not isinstance(error, ApiError):
        return GENERIC
    if error.status in {401, 403}:
        return AUTH
    if error.status == 404:
        return NOT_FOUND
    return SERVER if error.status >= 500 else VALIDATION


def describe(error: ClientError) -> Iterator[str]:
    """Every issue with where it is, what is wrong and what is allowed; without issues, the message."""
    if isinstance(error, Unreachable):
        yield str(error)
        yield from looked_for.of_the_address()
        yield "  is the platform up? `make up` starts it (where: SPECSTREAM_API_PORT, SPECSTREAM_URL)"
        return
    if not isinstance(error, ApiError):
        yield str(error)
        return
    match error.issues:
        case []:
            yield str(error)
        case [issue]:
            yield from _issue(issue)
        case issues:
            yield f"{len(issues)} mistakes:"
            for issue in issues:
                first, *rest = _issue(issue)
                yield f"  {first}"
                yield from (f"  {line}" for line in rest)
    if error.status == 401:
        yield from looked_for.of_the_key()
    if error.status == 404 and not error.issues:
        yield from looked_for.of_the_address()
    if any(issue.get("path") == ["projectId"] for issue in error.issues):
        yield "  a project is named by its id, which `projects list` shows"
    for name in error.details.get("notReady", []):
        yield f"  not ready: {name}"


def _issue(issue: dict[str, Any]) -> Iterator[str]:
    path = [str(part) for part in issue.get("path", [])]
    if path[:1] == ["config"]:  # the reader's own file has no such level
        path = path[1:]
    message = issue.get("message")
    value = issue.get("value")
    comma = "" if str(message).endswith("?") else ";"
    got = "" if value is None else f"{comma} got {json.dumps(value, ensure_ascii=False)}"
    allowed = issue.get("allowed")
    if isinstance(allowed, list):
        allowed = ", ".join(str(item) for item in allowed)
    line = f"{'.'.join(path)}: {message}{got}" if path else f"{message}{got}"
    if allowed is None:
        yield line
    elif len(str(allowed)) <= ALLOWED_BESIDE:
        yield f"{line} (allowed: {allowed})"
    else:
        yield line
        yield f"  allowed: {allowed}"


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn what goes wrong into lines on stderr and an exit status."""
    try:
        yield
    except CommandFailed as error:
        show.complain(error.lines)
        raise typer.Exit(error.status) from error
    except ClientError as error:
        show.complain(describe(error))
        raise typer.Exit(status_of(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of a pipe has seen enough
            raise
        show.complain([f"cannot write: {error.strerror or error}"])
        raise typer.Exit(GENERIC) from error
