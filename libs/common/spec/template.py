"""The template: what makes a replica what it is. Specs that differ only elsewhere keep their run."""

import hashlib
import json

from libs.common.spec.model import HealthChecks, NameValue, Spec, SpecPart


class Template(SpecPart):
    image: str
    command: tuple[str, ...] | None = None
    env: tuple[NameValue, ...] = ()
    ports: tuple[int, ...]
    machine_type: str
    health_checks: HealthChecks | None = None
    region: str | None = None


def make_template(spec: Spec) -> Template:
    return Template(
        image=spec.image,
        command=spec.command,
        env=spec.env,
        ports=spec.resources.ports,
        machine_type=spec.resources.machine_type,
        health_checks=spec.health_checks,
        region=spec.region,
    )


def run_id(template: Template) -> str:
    """The hash of a template, 32 hexadecimal digits. A field that is unset does not count, so that a field
    added to the template later leaves the runs of today's specs as they are."""
    canonical = json.dumps(
        template.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
