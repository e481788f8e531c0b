"""Facts of a `name`: who holds it. The aggregate's id is `ids.name_key(parent, name)`."""

from typing import ClassVar

from libs.common.events.fact import Fact


class NameFact(Fact):
    aggregate: ClassVar[str] = "name"


class NameClaimed(NameFact):
    """`name` under `parent` now belongs to `owner_id` (a deployment or a project)."""

    parent: str
    name: str
    owner_id: str


class NameReleased(NameFact):
    """`name` under `parent` belongs to nobody again; `owner_id` held it."""

    parent: str
    name: str
    owner_id: str
