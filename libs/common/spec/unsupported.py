"""What is understood and checked in full, but not carried out yet: refused, so that no field is accepted
that does nothing, and nothing that should be protected is served open."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from libs.common.errors import Issue
from libs.common.spec.raw import arguments, checks, listing, mapping, text
from libs.common.spec.shown import shown
from libs.common.spec.text import IN_WORDS, REFERENCE, is_secret_reference

_NOT_YET = "is not supported yet"


def unsupported(raw: Mapping[str, Any]) -> Iterator[Issue]:
    for name in ("basicAuthKey", "containerRegistry"):
        if name in raw:
            yield Issue((name,), _NOT_YET, shown((name,), raw[name]), "leave it out")
    for name in ("integrations", "models"):
        if listing(raw.get(name)):
            yield Issue((name,), _NOT_YET, shown((name,), raw[name]), "leave it out")
    if "repositories" in raw:
        yield Issue(
            ("repositories",),
            "repositories is not supported: it belongs to v0alpha0 alone; put the files into the image",
            shown(("repositories",), raw["repositories"]),
            "leave it out",
        )
    yield from _secret_references(raw)


def _secret_references(raw: Mapping[str, Any]) -> Iterator[Issue]:
    """Wherever a value could be a secret. There is no way yet to write a plain value that begins so."""
    for path, value in _values(raw):
        if not is_secret_reference(value):
            continue
        if not re.fullmatch(REFERENCE, value):
            yield Issue(path, f"must be {IN_WORDS[REFERENCE]}", shown(path, value), IN_WORDS[REFERENCE])
        yield Issue(path, f"a secret reference {_NOT_YET}", shown(path, value), "a plain value")


def _values(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, entry in enumerate(listing(raw.get("env"))):
        value = text(mapping(entry).get("value"))
        if value is not None:
            yield ("env", index, "value"), value
    for index, argument in arguments(raw.get("command")):
        yield ("command", index), argument
    for path, check in checks(raw):
        for index, argument in arguments(mapping(check.get("exec")).get("command")):
            yield (*path, "exec", "command", index), argument
        for index, header in enumerate(listing(check.get("headers"))):
            value = text(mapping(header).get("value"))
            if value is not None:
                yield (*path, "headers", index, "value"), value
