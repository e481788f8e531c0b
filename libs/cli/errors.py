"""Exit statuses and how an error is told. The statuses are those of the second reference's CLI (3.5)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from libs.client import ApiError, ClientError, Unreachable

GENERIC, USAGE, AUTH, NOT_FOUND, VALIDATION, SERVER = 1, 2, 3, 4, 5, 6


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
    | nobody answers              | 1           |
    """
    if not isinstance(error, ApiError):
        return GENERIC
    if error.status in {401, 403}:
        return AUTH
    if error.status == 404:
        return NOT_FOUND
    return SERVER if error.status >= 500 else VALIDATION


def describe(error: ClientError) -> Iterator[str]:
    """The message, then a line for each issue: path, what is wrong, what is allowed."""
    yield str(error)
    if isinstance(error, ApiError):
        for issue in error.issues:
            path = ".".join(str(part) for part in issue.get("path", []))
            allowed = f" (allowed: {issue['allowed']})" if issue.get("allowed") is not None else ""
            yield f"  {path}: {issue.get('message')}; got {issue.get('value')!r}{allowed}"
        for name in error.details.get("notReady", []):
            yield f"  not ready: {name}"
    elif isinstance(error, Unreachable):
        yield "  is the platform up? `specstream up` starts it"


@contextmanager
def told() -> Iterator[None]:
    """Turn what goes wrong into lines on stderr and an exit status."""
    try:
        yield
    except CommandFailed as error:
        _say(error.lines)
        raise typer.Exit(error.status) from error
    except ClientError as error:
        _say(describe(error))
        raise typer.Exit(status_of(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _say(lines: Iterator[str] | tuple[str, ...]) -> None:
    for number, line in enumerate(lines):
        print(f"specstream: {line}" if number == 0 else line, file=sys.stderr)
