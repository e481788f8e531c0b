"""From what a client sent to a `Spec`, or to everything that is wrong with it."""

from collections.abc import Collection, Sequence
from itertools import chain, islice
from typing import Any

from pydantic import ValidationError

from libs.common.errors import MAX_ISSUES, BadRequest, Issue
from libs.common.spec.expected import known_fields
from libs.common.spec.issues import issues_of
from libs.common.spec.model import Spec
from libs.common.spec.rules import MAX_SPEC_BYTES, broken_rules
from libs.common.spec.schema import SpecV1
from libs.common.spec.shown import shown
from libs.common.spec.unsupported import unsupported
from libs.common.spec.versions import KNOWN_VERSIONS, STORED_VERSION, shape_of, to_v1


def parse_spec(raw: object, machine_types: Collection[str]) -> Spec:
    """A spec of any known version as the stored one, with every default filled in.

    machine_types: the names of those that there are. What is to run nowhere may name another one, so that a
    deployment can be switched off after its machine type is gone.

    Raises BadRequest with an issue for each mistake, at most 100, whose paths begin inside the spec; and for
    one that is longer than an event can hold.
    """
    if not isinstance(raw, dict):
        raise refused([Issue((), "must be an object", shown((), raw), "a deployment spec")])
    shape = shape_of(raw)
    parsed = None
    mistakes: list[Issue] = []
    try:
        parsed = shape.model_validate(raw, context=machine_types if _is_to_run(raw) else None)
    except ValidationError as error:
        mistakes = [_with_versions(issue) for issue in issues_of(shape, error)]
    known = known_fields(shape, ())
    not_yet = (issue for issue in unsupported(raw) if issue.path[0] in known)
    mistakes += islice(chain(broken_rules(raw), not_yet), MAX_ISSUES)
    if mistakes or parsed is None:
        raise refused(mistakes)
    spec = make_spec(to_v1(parsed))
    length = len(spec.model_dump_json(by_alias=True).encode())
    if length > MAX_SPEC_BYTES:
        raise refused([Issue((), f"takes {length} bytes", None, f"at most {MAX_SPEC_BYTES} bytes")])
    return spec


def make_spec(spec: SpecV1) -> Spec:
    """The stored spec: each field that was sent is the field of the same name. An HTTP check without a port
    gets the endpoint's, and no checks at all are None, so that two spellings of one desired state have one
    template."""
    sent = spec.model_dump(exclude_none=True)
    either = sent.pop("healthchecks", None)
    checks = sent.pop("health_checks", either) or {}
    port = spec.resources.ports[0]
    with_ports = {
        kind: check if "exec" in check else {"port": port, **check} for kind, check in checks.items()
    }
    meaning = {**sent, "api_version": STORED_VERSION, "health_checks": with_ports or None}
    return Spec.model_validate(meaning)


def refused(issues: Sequence[Issue], whole: str = "the spec") -> BadRequest:
    """The first mistake in the message, all of them as issues. whole: what an empty path stands for."""
    first = issues[0]
    place = ".".join(str(step) for step in first.path)
    message = f"{place}: {first.message}" if place else f"{whole} {first.message}"
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    return BadRequest(message + more, issues)


def _is_to_run(raw: dict[str, Any]) -> bool:
    """Whether it asks for a replica; where it is not clear, as in a spec with mistakes, it does."""
    resources = raw.get("resources")
    replicas = resources.get("replicas") if isinstance(resources, dict) else None
    is_stopped = type(replicas) is int and replicas == 0  # False is no number
    return raw.get("enabled") is not False and not is_stopped


def _with_versions(issue: Issue) -> Issue:
    """No single shape knows every version."""
    if issue.path != ("apiVersion",):
        return issue
    return Issue(issue.path, "is not a known version", issue.value, list(KNOWN_VERSIONS))
