"""FastStream's own AsyncAPI document of what is declared on a broker."""

from collections.abc import Callable
from typing import Any

from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from faststream.specification import AsyncAPI
from faststream.specification.asyncapi.utils import move_pydantic_refs

from libs.common.bus.settings import ServiceSettings


def described(
    declare: Callable[[NatsBroker], object], *, title: str, version: str, description: str, server: str
) -> dict[str, Any]:
    """Of the subscribers and publishers that `declare` declares; nothing is connected.

    server: what is said of the broker. The channels are in no order.
    """
    broker = NatsBroker(
        ServiceSettings.model_fields["nats_url"].default,
        # Only its kind is shown.
        security=NatsNKey("unread"),
        protocol_version=None,
        description=server,
    )
    declare(broker)
    specification = AsyncAPI(broker, title=title, version=version, description=description)
    document: dict[str, Any] = specification.to_specification().to_jsonable()
    return document


def as_schemas(definitions: dict[str, Any]) -> dict[str, Any]:
    """`$defs` of pydantic as they stand among the components of an AsyncAPI document."""
    schemas: dict[str, Any] = move_pydantic_refs(definitions, "$defs")
    return schemas
