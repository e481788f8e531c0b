"""What every fact has in common."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from libs.common.events.text import bounded

MadeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
"""The id of a spec, a run or a replica. They are made here, and become headers, labels of Kubernetes and
names of directories as they are: a line break would end its header, and `..` leads out of its directory."""


class FactPart(BaseModel):
    """A fact, or a part of one. Its `message` is for people, and bounded however long it was given."""

    # Built at the first use: most processes meet few of the facts, and all of them take a tenth of a second.
    model_config = ConfigDict(defer_build=True)

    @field_validator("message", mode="before", check_fields=False)
    @classmethod
    def _bounded(cls, message: Any) -> Any:
        return bounded(message) if isinstance(message, str) else message


class Fact(FactPart):
    """One thing that happened, past tense, frozen, flat and absolute: never a delta.

    Folding only the newest fact of each subject must give the same state as folding all of them, so a fact
    says how things are after it (a page of the roster, a restart count), not what changed.
    Fields that a later version adds are ignored by this one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    aggregate: ClassVar[str]
    """Kind of the aggregate it belongs to: the third token of its subject. `libs/common/state/aggregates.py`
    has who may append it."""
    version: ClassVar[int] = 1
    """Version of the payload's schema, named by the event's `dataschema`."""
    earlier_versions: ClassVar[tuple[int, ...]] = ()
    """Versions that are stored somewhere, and that the model reads as well."""
    is_paged: ClassVar[bool] = False
    """Whether its facts hold something larger page by page; the subject of each ends with its page."""

    @classmethod
    def event_type(cls) -> str:
        """The name in the catalogue and the last token of the subject."""
        return cls.__name__

    def subject_page(self) -> int | None:
        """Of a fact that is one page of something larger: which one."""
        return None
