"""What of a spec the API server does not take, though another cluster may. Pure.

It is refused before anything is asked for: else an anchor lists replicas that are never made, and each of
them is asked for in vain.
"""

import re
from collections.abc import Iterator
from typing import Final

from libs.common.errors import CannotApply, Issue
from libs.common.spec.model import HealthCheck, HealthChecks, Spec
from libs.common.spec.shown import shown
from libs.common.spec.template import Template
from libs.common.spec.text import IN_WORDS, LABEL_VALUE

_VARIABLE: Final = re.compile(r"[ -<>-~]+")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_LABEL: Final = re.compile(LABEL_VALUE)


def check(template: Template) -> None:
    """Raises CannotApply for the first mistake."""
    for issue in refused(template):
        place = ".".join(map(str, issue.path))
        raise CannotApply(f"{place} {issue.message}: {issue.value!r}; allowed: {issue.allowed}")


def refused(asked: Template | Spec) -> Iterator[Issue]:
    """Each mistake; paths begin inside the spec."""
    if not asked.image or asked.image != asked.image.strip():
        yield _issue(("image",), "is no image", asked.image, "an image reference without space around it")
    for index, entry in enumerate(asked.env):
        if not _VARIABLE.fullmatch(entry.name):
            allowed = "printable ASCII without `=`"
            yield _issue(("env", index, "name"), "is no name of a variable", entry.name, allowed)
    if asked.region is not None and not _LABEL.fullmatch(asked.region):
        yield _issue(("region",), "is no label of a node", asked.region, IN_WORDS[LABEL_VALUE])
    checks = asked.health_checks or HealthChecks()
    for kind in HealthChecks.model_fields:
        if (found := getattr(checks, kind)) is not None:
            yield from (issue.under("healthChecks", kind) for issue in _of_check(found))


def _of_check(asked: HealthCheck) -> Iterator[Issue]:
    if asked.path == "":
        yield _issue(("path",), "must not be empty", asked.path, "a path")
    for index, header in enumerate(asked.headers):
        if not _HEADER.fullmatch(header.name):
            allowed = "letters, digits and `-`"
            yield _issue(("headers", index, "name"), "is no name of a header", header.name, allowed)


def _issue(path: tuple[str | int, ...], message: str, value: str, allowed: str) -> Issue:
    return Issue(path, message, shown(path, value), allowed)
