"""`$(NAME)` in a command and in environment values, exactly as Kubernetes expands it. Pure.

`$(NAME)` becomes the value of NAME; a name that is unknown stays as it is written; `$$` is one `$`, so
`$$(NAME)` stays `$(NAME)`; any other `$` stands for itself. What was put in is not expanded again.
"""

from collections.abc import Iterable, Mapping

LONGEST = 131_071
"""Bytes of one argument or `NAME=value`: Linux starts no process with a longer one. A short spec can refer
its way to any length, so it ends here and not in the memory of the machine."""

MOST = 6 * 1024 * 1024
"""Bytes of all arguments, or of the whole environment: Linux never takes more, whatever its settings."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with each reference replaced from `values`. Raises ValueError beyond LONGEST."""
    parts: list[str] = []
    length = 0
    at = 0
    last_closing = text.rfind(")")
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        closing = text.find(")", dollar + 2) if following == "(" and dollar < last_closing else -1
        if following == "$":
            parts.append("$")
            at = dollar + 2
        elif closing >= 0:
            name = text[dollar + 2 : closing]
            value = values.get(name, f"$({name})")
            length += len(value)
            if length > LONGEST:
                raise ValueError(f"a value grows beyond {LONGEST} bytes by its references")
            parts.append(value)
            at = closing + 1
        else:
            parts.append("$")
            at = dollar + 1
    parts.append(text[at:])
    return "".join(parts)


def expand_command(command: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """Each argument expanded. Raises ValueError when one or all of them get too long."""
    arguments: list[str] = []
    size = 0
    for argument in command:
        expanded = expand(argument, values)
        size = _grown(size, expanded)
        arguments.append(expanded)
    return arguments


def expand_environment(given: Mapping[str, str], env: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`given`, then each entry of `env` in order; an entry may refer to what is given and to earlier ones.

    Raises ValueError when one or all of them get too long.
    """
    environment = dict(given)
    size = 0
    for name, value in env:
        expanded = expand(value, environment)
        size = _grown(size, expanded)
        environment[name] = expanded
    return environment


def _grown(size: int, text: str) -> int:
    size += len(text)
    if size > MOST:
        raise ValueError(f"all values together grow beyond {MOST} bytes by their references")
    return size
