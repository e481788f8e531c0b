"""The machine types of this platform: the operator's file, or the bundled list."""

import stat
from functools import cache
from pathlib import Path

import yaml

from libs.common import strict_yaml
from libs.common.errors import Permanent
from libs.common.machine_types.catalogue import MachineTypes, catalogue

VARIABLE = "SPECSTREAM_MACHINE_TYPES"

MOST_BYTES = 8 * 1024 * 1024
"""Of a file; a thousand machine types with all that can be said of each take less."""

BUNDLED = Path(__file__).with_name("bundled.yaml")


class BadMachineTypes(Permanent):
    """The file cannot be used; the message names the variable and, line by line, all that is wrong."""


def machine_types(path: Path | None) -> MachineTypes:
    """Those of the file at `path`; the bundled ones without one. Raises BadMachineTypes."""
    return bundled() if path is None else _read(path.expanduser())


@cache
def bundled() -> MachineTypes:
    return _read(BUNDLED)


def _read(path: Path) -> MachineTypes:
    try:
        content, node = strict_yaml.read(_text(path), path.name)
    except OSError as error:
        raise BadMachineTypes(f"{VARIABLE}: cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadMachineTypes(f"{VARIABLE}: {path} is not YAML: {error}") from error
    found, issues = catalogue(content)
    if issues:
        lines = [f"{VARIABLE}: {path} cannot be used:"]
        for issue in issues:
            # The number of an entry tells nobody what its line tells.
            place = ".".join(str(step) for step in issue.path[1:])
            given = "" if issue.value is None else f", not {issue.value!r}"
            allowed = f" ({_in_words(issue.allowed)}{given})" if issue.allowed else ""
            line = strict_yaml.line_of(node, issue.path)
            lines.append(f"  line {line}: {place + ': ' if place else ''}{issue.message}{allowed}")
        raise BadMachineTypes("\n".join(lines))
    return found


def _text(path: Path) -> str:
    """Raises OSError, UnicodeDecodeError, BadMachineTypes for what may never end, or be there only once."""
    status = path.stat()
    if stat.S_ISREG(status.st_mode) and status.st_size > MOST_BYTES:
        said = f"it has {status.st_size} bytes (at most {MOST_BYTES})"
        raise BadMachineTypes(f"{VARIABLE}: {path} cannot be used: {said}")
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise BadMachineTypes(f"{VARIABLE}: {path} cannot be used: it is no ordinary file")
    return path.read_text(encoding="utf-8-sig")


def _in_words(allowed: object) -> str:
    return ", ".join(map(str, allowed)) if isinstance(allowed, list) else str(allowed)
