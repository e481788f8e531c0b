"""A batch as messages, and back: parts that are small enough each, numbered. Pure."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from pydantic_core import from_json

from libs.common.metrics.samples import FIELDS, Batch

MOST_BYTES = 512 * 1024
"""Of one message. The broker takes twice as much."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def in_parts(batch: Batch, *, most_bytes: int = MOST_BYTES) -> tuple[bytes, ...]:
    """The messages of a batch that is whole in itself, each at most `most_bytes` long.

    Raises ValueError for a source that cannot be in a subject, for samples of another kind than the batch's,
    and for a sample that is too large alone.
    """
    if not _TOKEN.fullmatch(batch.source):
        raise ValueError(f"the source {batch.source!r} is not 1 to 64 letters, digits, - and _")
    field = FIELDS[batch.kind]
    strange = [other for other in FIELDS.values() if other != field and getattr(batch, other)]
    if strange:
        raise ValueError(f"a batch of kind {batch.kind} has {', '.join(strange)}")
    samples = getattr(batch, field)
    whole = _encoded(batch.model_copy(update={"part": 1, "parts": 1}))
    for parts in count(-(-len(whole) // most_bytes)):
        if parts > max(1, len(samples)):
            raise ValueError(f"one sample of kind {batch.kind} is longer than {most_bytes} bytes")
        messages = (whole,) if parts == 1 else tuple(_split(batch, field, parts))
        if all(len(message) <= most_bytes for message in messages):
            return messages
    raise AssertionError("count() never ends")


def _split(batch: Batch, field: str, parts: int) -> Iterator[bytes]:
    samples = getattr(batch, field)
    edges = [len(samples) * part // parts for part in range(parts + 1)]
    for part in range(parts):
        some = samples[edges[part] : edges[part + 1]]
        yield _encoded(batch.model_copy(update={field: some, "part": part + 1, "parts": parts}))


def _encoded(batch: Batch) -> bytes:
    return batch.model_dump_json(exclude_defaults=True).encode()


def read_part(kind: str, source: str, message: bytes, *, only: str | None = None) -> Batch | None:
    """The batch in a message of this kind and source; None where it holds none, or one of another.

    only: a deployment; the samples of others are left out, and cost a fraction of reading them.
    """
    try:
        if only is None:
            batch = Batch.model_validate_json(message)
        else:
            batch = Batch.model_validate(_narrowed(from_json(message), only))
    except ValueError:
        return None
    return batch if (batch.kind, batch.source) == (kind, source) else None


def _narrowed(content: Any, deployment_id: str) -> Any:
    """What is no batch stays as it is."""
    if not isinstance(content, dict):
        return content
    narrowed = dict(content)
    for field in FIELDS.values():
        if isinstance(samples := content.get(field), list):
            narrowed[field] = [
                one
                for one in samples
                if not isinstance(one, dict) or one.get("deployment_id") == deployment_id
            ]
    return narrowed
