"""What an operator writes of a machine type, and what the list of them must be. Pure.

A catalogue is looked at when a replica is created, never afterwards: a change of it restarts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from libs.common.clock import to_rfc3339
from libs.common.errors import Issue
from libs.common.machine_types.pricing import NO_PRICES, Prices
from libs.common.spec.integrations import ABSENT, Input
from libs.common.spec.issues import issues_of
from libs.common.spec.shown import shown
from libs.common.spec.text import LABEL_VALUE, MACHINE_TYPE, MAX_MACHINE_TYPE, OBJECT_NAME, QUALIFIED_NAME

MAX_MACHINE_TYPES = 1000

LIST = f"a list of 1 to {MAX_MACHINE_TYPES} machine types"

Cores = Annotated[float, Field(ge=0.001, le=4096, allow_inf_nan=False)]
"""A thousandth of a core is the least that a cluster counts."""

Gib = Annotated[float, Field(ge=0.001, le=1_048_576, allow_inf_nan=False)]
LabelKey = Annotated[str, Field(max_length=317, pattern=QUALIFIED_NAME)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
ObjectName = Annotated[str, Field(max_length=253, pattern=OBJECT_NAME)]


class Requests(Input):
    """What a replica reserves, where that is less than what it may use."""

    cpus: Cores = Field(default=ABSENT)
    memory_gib: Gib = Field(default=ABSENT)


class Toleration(Input):
    """A taint of nodes that does not keep the replica away, as Kubernetes knows it."""

    key: LabelKey = Field(default=ABSENT, description="With `Exists` it may be left out: every taint.")
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue = Field(default=ABSENT)
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(default=ABSENT)
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] = Field(default=ABSENT)


class MachineType(Input):
    """A replica may use this many CPUs, this much memory, and has this many GPUs to itself.

    memory_gib, disk_gib, shm_gib: in GiB. gpu_resource: what a node calls them; the profile of a divided GPU,
    or another vendor's, is only another name. node_selector: labels that a node must have. Placement and
    classes are Kubernetes' own and mean nothing on a cluster that has no nodes. surge: whether a new replica
    comes before the old one leaves also where there is no room for both.
    price_per_hour: of one replica, whatever it uses; absent where nobody has said it.
    """

    name: Annotated[str, Field(max_length=MAX_MACHINE_TYPE, pattern=MACHINE_TYPE)]
    cpus: Cores
    memory_gib: Gib
    disk_gib: Gib = Field(default=ABSENT)
    requests: Requests = Field(default=Requests())
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    gpu_resource: LabelKey = "nvidia.com/gpu"
    node_selector: dict[LabelKey, LabelValue] = Field(default={})
    tolerations: list[Toleration] = Field(default=[])
    priority_class: ObjectName = Field(default=ABSENT)
    runtime_class: ObjectName = Field(default=ABSENT)
    shm_gib: Gib = Field(default=ABSENT)
    surge: bool = True
    price_per_hour: Prices = NO_PRICES

    @property
    def is_placed(self) -> bool:
        """Whether it says which nodes have its GPUs, if it has any: what asks for an H100 must not run on a
        T4."""
        return not self.gpus or bool(self.node_selector)

    def to_wire(self) -> dict[str, Any]:
        """As the API shows it: every default filled in, what is unset left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


MachineTypes = Mapping[str, MachineType]
"""By name, in the operator's order."""


def catalogue(content: object) -> tuple[MachineTypes, Sequence[Issue]]:
    """The machine types of a list as YAML or JSON holds it, and what is wrong with it."""
    if not isinstance(content, list):
        return {}, [Issue((), "must be a list", shown((), content), LIST)]
    if not 1 <= len(content) <= MAX_MACHINE_TYPES:
        return {}, [Issue((), f"has {len(content)} machine types", None, LIST)]
    found: dict[str, MachineType] = {}
    issues: list[Issue] = []
    for index, entry in enumerate(content):
        try:
            machine_type = MachineType.model_validate(entry)
        except ValidationError as error:
            issues += (issue.under(index) for issue in issues_of(MachineType, error))
            continue
        issues += (issue.under(index) for issue in _broken(machine_type))
        if machine_type.name in found:
            issues.append(Issue((index, "name"), "stands twice", machine_type.name, "each name once"))
        found[machine_type.name] = machine_type
    return found, issues


def _broken(machine_type: MachineType) -> Iterator[Issue]:
    """What its fields must be together."""
    for name, most in (("cpus", machine_type.cpus), ("memoryGib", machine_type.memory_gib)):
        asked = machine_type.requests.model_dump(by_alias=True)[name]
        if asked is not None and asked > most:
            yield Issue(("requests", name), "is more than the machine type has", asked, f"at most {most:g}")
    if machine_type.shm_gib is not None and machine_type.shm_gib > machine_type.memory_gib:
        most = machine_type.memory_gib
        yield Issue(("shmGib",), "is more than its memory", machine_type.shm_gib, f"at most {most:g}")
    times = [priced.from_ for priced in machine_type.price_per_hour or ()]
    for index, (before, after) in enumerate(pairwise(times), 1):
        if after <= before:
            yield Issue(
                ("pricePerHour", index, "from"),
                "is not later than the one before",
                to_rfc3339(after),
                to_rfc3339(before),
            )
    for index, toleration in enumerate(machine_type.tolerations):
        place = ("tolerations", index)
        if toleration.operator == "Exists" and toleration.value is not None:
            yield Issue((*place, "value"), "has no meaning with `Exists`", toleration.value, "leave it out")
        if toleration.operator == "Equal" and toleration.key is None:
            yield Issue((*place, "key"), "is required", None, "a key, or `operator: Exists`")
        if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
            seconds = toleration.toleration_seconds
            yield Issue((*place, "tolerationSeconds"), "needs the effect NoExecute", seconds, "leave it out")
