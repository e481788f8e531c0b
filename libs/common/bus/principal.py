"""Who sent a command: the user that the broker let in, whatever the message says of itself. Pure."""

from collections.abc import Mapping

from libs.common.bus.subjects import DELETE, SUBMIT

OTHER_SYSTEMS = "commands"
"""The one user whose account has the commands' subjects. Another one will be told by subjects of its own."""

_VERBS = tuple(command.split(".")[2:] for command in (SUBMIT, DELETE))


def principal_of(subject: str, headers: Mapping[str, str]) -> str:  # noqa: ARG001 - the subject tells
    """The name of the user that published a message of the stream of commands.

    No header counts: a publisher writes there what it likes. Raises ValueError for a subject that is no
    command's.
    """
    root, *_ = tokens = subject.split(".")
    if root != "commands" or tokens[2:] not in _VERBS:
        raise ValueError(f"{subject!r} is not the subject of a command")
    return OTHER_SYSTEMS
