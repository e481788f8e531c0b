"""Who a command comes from, as the broker has authenticated its publisher. Pure."""

from collections.abc import Mapping

COMMANDS_USER = "commands"


def principal_of(subject: str, headers: Mapping[str, str]) -> str:  # noqa: ARG001 - one user may send commands
    """The name of the user. Only one may publish commands, so it is certain without a look at the message;
    what the message says of its source is a claim."""
    return COMMANDS_USER
