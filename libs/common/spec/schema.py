"""The spec as a client writes it: one strict model for each shape of it.

A constraint that concerns one field stands here; what concerns several is in `rules.py`, and what is
understood but not carried out yet in `unsupported.py`. `spec_json_schema` is what OpenAPI shows.
"""

import re
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo
from pydantic.json_schema import models_json_schema
from pydantic_core import PydanticCustomError

from libs.common.spec.autoscaling import Autoscaling
from libs.common.spec.bounds import MAX_PORTS, Count, Delay, Port, Replicas
from libs.common.spec.integrations import ABSENT, MAX_INTEGRATIONS, AnyIntegration, FolderPath, Input
from libs.common.spec.text import (
    ENV_NAME,
    HEADER_NAME,
    HEADER_VALUE,
    HOST_NAME,
    IMAGE,
    IN_WORDS,
    MACHINE_TYPE,
    MAX_MACHINE_TYPE,
    PROBE_PATH,
    TEXT,
    Line,
    Name,
)


def _known_machine_type(name: str, info: ValidationInfo) -> str:
    """Which machine types there are is the operator's to say: whoever validates gives their names, or None
    where any name will do that one could have."""
    known: Collection[str] | None = info.context
    if known is not None and name not in known:
        raise PydanticCustomError("machine_type", "is not a machine type", {"allowed": list(known)})
    if known is None and (len(name) > MAX_MACHINE_TYPE or not re.fullmatch(MACHINE_TYPE, name)):
        allowed = f"{IN_WORDS[MACHINE_TYPE]}, 1 to {MAX_MACHINE_TYPE} characters"
        raise PydanticCustomError("machine_type", "is no name of a machine type", {"allowed": allowed})
    return name


MachineTypeName = Annotated[
    str, AfterValidator(_known_machine_type), Field(description="One of `GET /v1/machine-types`.")
]
Argument = Annotated[str, Field(pattern=TEXT)]
Command = Annotated[list[Argument], Field(min_length=1)]


class EnvVar(Input):
    name: str = Field(
        pattern=ENV_NAME, description="Unique; none of the platform's own (PORT, SPECSTREAM_...)."
    )
    value: Argument


class Header(Input):
    name: str = Field(pattern=HEADER_NAME)
    value: str = Field(pattern=HEADER_VALUE)


class ExecAction(Input):
    command: Command = Field(
        description="Run in the replica; succeeds on exit status 0. `$(NAME)` is a variable of the replica."
    )


class Check(Input):
    """One health check: HTTP with `path`, or `exec`. Times in seconds."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["path"]}, {"required": ["exec"]}]})

    path: str = Field(default=ABSENT, max_length=8192, pattern=PROBE_PATH, description="Fetched with GET.")
    port: Port = Field(default=ABSENT, description="One of `resources.ports`; the first of them by default.")
    host: str = Field(
        default=ABSENT, max_length=253, pattern=HOST_NAME, description="The Host header; never the address."
    )
    headers: list[Header] = Field(default=ABSENT, description="Sent with the check.")
    exec: ExecAction = Field(default=ABSENT)
    initial_delay_seconds: Delay = 0
    period_seconds: Count = 10
    timeout_seconds: Count = 1
    failure_threshold: Count = 3


class Checks(Input):
    startup: Check = Field(default=ABSENT, description="Until it succeeds the other two do not run.")
    readiness: Check = Field(default=ABSENT, description="While it fails the replica gets no requests.")
    liveness: Check = Field(default=ABSENT, description="When it fails the replica is restarted.")


class Scale(Input):
    """What the resources of every version have in common."""

    replicas: Replicas = Field(
        default=1, description="0 stops the deployment. With autoscaling the fewest there are."
    )
    autoscaling: Autoscaling = Field(default=ABSENT)


class Resources(Scale):
    machine_type: MachineTypeName
    ports: list[Port] = Field(
        min_length=1,
        max_length=MAX_PORTS,
        description="Unique. The first is the endpoint's.",
        json_schema_extra={"uniqueItems": True},
    )
    surge: bool = Field(
        default=ABSENT,
        description="false: an old replica leaves before its replacement comes, where there is no room for "
        "both. As the machine type says, by default.",
    )


class OldResources(Scale):
    instance_type: MachineTypeName


class SpecInput(Input):
    """What every version has in common."""

    name: Name = Field(description="Unique within the project; what a submitted spec is matched by.")
    image: str = Field(max_length=4096, pattern=IMAGE)
    enabled: bool = Field(default=True, description="false stops the deployment and keeps its spec.")
    command: Command = Field(default=ABSENT, description="Overrides what the image starts.")
    env: list[EnvVar] = Field(default=ABSENT)
    container_registry: Line = Field(default=ABSENT, description="Not supported yet.")
    region: Line = Field(default=ABSENT, description="Where its replicas run; one that the cluster has.")
    health_checks: Checks = Field(default=ABSENT)


class SpecV1(SpecInput):
    """A deployment spec; `v0alpha1` and `latest` have the same shape as `v1`."""

    api_version: Literal["v0alpha1", "v1", "latest"] = "v1"
    basic_auth_key: Line = Field(default=ABSENT, description="Not supported yet.")
    resources: Resources
    integrations: list[AnyIntegration] = Field(
        default=ABSENT, max_length=MAX_INTEGRATIONS, description="Not supported yet."
    )
    healthchecks: Checks = Field(
        default=ABSENT, alias="healthchecks", description="Another spelling of healthChecks; not both."
    )


class OldModel(Input):
    id: Line
    path: FolderPath = "/opt/models"


class SpecV0Alpha0(SpecInput):
    """The oldest shape of a spec; it is converted to v1."""

    api_version: Literal["v0alpha0"]
    port: Port = 80
    resources: OldResources
    models: list[OldModel] = Field(default=ABSENT, description="Not supported yet.")
    repositories: Any = Field(default=ABSENT, description="Refused.")


def _without_null_defaults(node: Any) -> Any:
    """A field that may be left out has no default to show: `null` is refused."""
    if isinstance(node, dict):
        return {
            key: _without_null_defaults(value)
            for key, value in node.items()
            if not (key == "default" and value is None)
        }
    return [_without_null_defaults(item) for item in node] if isinstance(node, list) else node


def spec_json_schema(ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """JSON schema of what `parse_spec` takes: `anyOf` the two shapes, every part under `$defs`."""
    references, definitions = models_json_schema(
        [(SpecV1, "validation"), (SpecV0Alpha0, "validation")], ref_template=ref_template
    )
    shapes = [references[(model, "validation")] for model in (SpecV1, SpecV0Alpha0)]
    schema: dict[str, Any] = _without_null_defaults({"anyOf": shapes, **definitions})
    return schema
