"""Which of the processes that are found at the start go on, and which are stopped. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from libs.supervisor.processes import Living
from libs.supervisor.programs import Program


@dataclass(frozen=True, slots=True)
class Adoption:
    kept: Mapping[str, Living]
    """What goes on as it is, by name."""
    obsolete: tuple[Living, ...]
    """What is to be stopped before its successor is started."""


def decide(programs: Mapping[str, Program], found: Iterable[Living]) -> Adoption:
    """
    | found                                    | answer   |
    |------------------------------------------|----------|
    | the program itself, launched the same    | kept     |
    | the program itself, launched otherwise   | obsolete |
    | a second copy of a kept program          | obsolete |
    | a program that is no longer run          | obsolete |
    | something that a program started         | left alone: it is for its own parent, or for `down` |
    """
    kept: dict[str, Living] = {}
    obsolete: list[Living] = []
    for process in found:
        if not process.is_program:
            continue
        program = programs.get(process.name)
        if program is not None and program.launch == process.launch and process.name not in kept:
            kept[process.name] = process
        else:
            obsolete.append(process)
    return Adoption(kept, tuple(obsolete))
