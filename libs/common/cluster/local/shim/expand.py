"""`$(NAME)` in a command and in environment values, exactly as Kubernetes expands it. Pure.

`$(NAME)` becomes the value of NAME; a name that is unknown stays as it is written; `$$` is one `$`, so
`$$(NAME)` stays `$(NAME)`; any other `$` stands for itself. What was put in is not expanded again.
"""

from collections.abc import Iterable, Mapping


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with each reference replaced from `values`."""
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        closing = text.find(")", dollar + 2) if following == "(" else -1
        if following == "$":
            parts.append("$")
            at = dollar + 2
        elif closing >= 0:
            name = text[dollar + 2 : closing]
            parts.append(values.get(name, f"$({name})"))
            at = closing + 1
        else:
            parts.append("$")
            at = dollar + 1
    parts.append(text[at:])
    return "".join(parts)


def expand_environment(given: Mapping[str, str], env: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`given`, then each entry of `env` in order; an entry may refer to what is given and to earlier ones."""
    environment = dict(given)
    for name, value in env:
        environment[name] = expand(value, environment)
    return environment
