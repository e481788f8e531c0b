"""The versions of the spec: which shape each has, and how an old one becomes the stored one."""

from collections.abc import Mapping
from typing import Any

from libs.common.spec.schema import SpecV0Alpha0, SpecV1

KNOWN_VERSIONS = ("v0alpha0", "v0alpha1", "v1", "latest")
STORED_VERSION = "v1"


def shape_of(raw: Mapping[str, Any]) -> type[SpecV1] | type[SpecV0Alpha0]:
    """An absent or unknown version is read as v1, so that the rest of the spec is checked all the same."""
    return SpecV0Alpha0 if raw.get("apiVersion") == "v0alpha0" else SpecV1


def to_v1(spec: SpecV1 | SpecV0Alpha0) -> SpecV1:
    """| v0alpha0               | v1                     |
    |------------------------|------------------------|
    | port (80)              | resources.ports        |
    | resources.instanceType | resources.machineType  |
    | models                 | integrations of `model`|
    """
    if isinstance(spec, SpecV1):
        return spec
    sent = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    resources = sent.pop("resources")
    models = sent.pop("models", [])
    sent |= {
        "apiVersion": STORED_VERSION,
        "resources": {
            **{name: value for name, value in resources.items() if name != "instanceType"},
            "machineType": resources["instanceType"],
            "ports": [sent.pop("port", spec.port)],
        },
    }
    if models:
        # A model was known by its id alone; its files go where they went before.
        sent["integrations"] = [{"type": "model", "name": model["id"], **model} for model in models]
    return SpecV1.model_validate(sent)
