"""What a spec may ask of this platform's cluster, so that what can never run is refused when it is submitted,
and not found out afterwards. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from libs.common.cluster.abilities import Abilities
from libs.common.cluster.kubernetes import acceptance, anchor, names
from libs.common.errors import Issue
from libs.common.machine_types.catalogue import MachineType, MachineTypes
from libs.common.spec.model import Spec
from libs.common.spec.template import Template, make_template


@dataclass(frozen=True, slots=True)
class Offer:
    machine_types: MachineTypes
    abilities: Abilities

    def issues(self, spec: Spec, before: Spec | None = None) -> list[Issue]:
        """What of the spec this cluster can never carry out; paths begin inside the spec.

        before: the deployment's present spec, whose replicas stay until the new ones are ready. A disabled
        spec asks nothing of a cluster, and one with 0 replicas only that it is not too long: either way a
        deployment can be switched off when what it runs on is gone.
        """
        if not spec.enabled:
            return []
        if spec.resources.replicas == 0:
            return [*self._of_size(spec, before)]
        return [
            *self._of_command(spec),
            *self._of_machine_type(spec),
            *self._of_region(spec),
            *self._of_names(spec),
            *self._of_size(spec, before),
        ]

    def _of_command(self, spec: Spec) -> Iterator[Issue]:
        if not spec.command and not self.abilities.runs_images:
            message = "is required: an image needs a container runtime, and this cluster runs processes"
            yield Issue(("command",), message, None, "the program to start, and its arguments")

    def _of_machine_type(self, spec: Spec) -> Iterator[Issue]:
        place, name = ("resources", "machineType"), spec.resources.machine_type
        known, gpus = self.machine_types.get(name), self.abilities.gpus
        if known is None:
            yield Issue(place, "is not a machine type", name, list(self.machine_types))
        elif not self._has_its_gpus(known):
            allowed = [one.name for one in self.machine_types.values() if self._has_its_gpus(one)]
            if gpus is None:
                message = "does not say by a nodeSelector which nodes of this cluster have its GPUs"
            else:
                message = f"has {_gpus(known.gpus)}, and this machine has {_gpus(gpus)}"
            yield Issue(place, message, name, allowed)

    def _has_its_gpus(self, machine_type: MachineType) -> bool:
        gpus = self.abilities.gpus
        return machine_type.is_placed if gpus is None else machine_type.gpus <= gpus

    def _of_region(self, spec: Spec) -> Iterator[Issue]:
        if spec.region is None:
            return
        regions = self.abilities.regions
        if spec.region not in regions:
            message = (
                "is not a region of this cluster" if regions else "is not supported: this cluster has none"
            )
            yield Issue(("region",), message, spec.region, list(regions) or "leave it out")
            return
        machine_type = self.machine_types.get(spec.resources.machine_type)
        placed = machine_type.node_selector.get(names.REGION) if machine_type is not None else None
        if placed not in (None, spec.region):
            message = f"is not where {spec.resources.machine_type} is"
            yield Issue(("region",), message, spec.region, [placed])

    def _of_names(self, spec: Spec) -> Iterator[Issue]:
        if self.abilities.names_are_plain:
            yield from acceptance.refused(spec)

    def _of_size(self, spec: Spec, before: Spec | None) -> Iterator[Issue]:
        most = self.abilities.most_bytes
        if most is None:
            return
        template = make_template(spec)
        runs = [(template, _most_replicas(spec))]
        if before is not None and (present := make_template(before)) != template:
            runs.append((present, _most_replicas(before)))
        if (size := anchor.expected_size(runs)) > most:
            field = _longest_of(template)
            others = " together with the present spec, whose replicas stay until these are ready" * (
                len(runs) - 1
            )
            message = (
                f"is too long: what the cluster has to know of the deployment takes {size} bytes{others}"
            )
            yield Issue((field,), message, None, f"at most {most} bytes in all")


def _gpus(number: int) -> str:
    return "no GPU" if number == 0 else f"{number} GPU{'s' if number > 1 else ''}"


def _most_replicas(spec: Spec) -> int:
    autoscaling = spec.resources.autoscaling
    return spec.resources.replicas if autoscaling is None else autoscaling.max_replicas


def _longest_of(template: Template) -> str:
    """The field of a spec that takes most of its template."""
    wire = template.to_wire()
    return max(("command", "env", "healthChecks"), key=lambda field: len(json.dumps(wire.get(field))))
