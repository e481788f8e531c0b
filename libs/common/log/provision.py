"""The one step that makes streams and durables; services never declare them. `python -m libs.common.log`.

Safe to run at every start: what is there and right is left alone, harmless drift is put right, and a
difference that could lose or hide events stops with an error that names it.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from libs.common.bus.settings import ServiceSettings
from libs.common.errors import SpecstreamError
from libs.common.ids import new_id
from libs.common.log.jetstream.mirror import keep_mirror
from libs.common.log.jetstream.standing import IDENTITY
from libs.common.log.streams import DurablePlan, StreamPlan, make_durables, make_streams, plain


class CannotProvision(SpecstreamError):
    """What the broker holds differs from what Specstream needs, and changing it could do harm."""


async def provision(client: Client, *, replicas: int = 1) -> None:
    """Make every stream and durable, or assert that they are as they should be.

    replicas: of the streams that must survive a server; 1 in development, 3 with three servers.
    Raises CannotProvision.
    """
    jetstream = client.jetstream(timeout=10)
    streams = make_streams(replicas=replicas)
    for stream in streams:
        if stream.is_emptied_by_its_durable:
            await _make_keeping_all(jetstream, stream)
        else:
            await _provision_stream(jetstream, stream)
    for durable in make_durables():
        await _provision_durable(jetstream, durable)
    for stream in streams:
        if stream.is_emptied_by_its_durable:
            await _provision_stream(jetstream, stream)


async def _make_keeping_all(jetstream: JetStreamContext, plan: StreamPlan) -> None:
    """Until its durable is there nobody is interested in what comes, and it would be thrown away."""
    name = str(plan.wanted.name)
    try:
        await jetstream.stream_info(name)
    except NotFoundError:
        keeping = plan.wanted.evolve(retention=api.RetentionPolicy.LIMITS)
        await _call(jetstream.add_stream(keeping), f"stream {name}")


async def _provision_stream(jetstream: JetStreamContext, plan: StreamPlan) -> None:
    name = str(plan.wanted.name)
    try:
        present = (await jetstream.stream_info(name)).config
    except NotFoundError:
        wanted = plan.wanted.evolve(metadata={IDENTITY: new_id()}) if plan.has_identity else plan.wanted
        await _call(jetstream.add_stream(wanted), f"stream {name}")
        return
    if plan.has_identity and IDENTITY not in (present.metadata or {}):
        present = present.evolve(metadata={**(present.metadata or {}), IDENTITY: new_id()})
        await _call(jetstream.update_stream(present), f"stream {name}")
    held = present.as_dict()
    changes = _drift(f"stream {name}", plan.wanted.as_dict(), held, plan.updatable_on(held))
    if changes:
        await _call(
            jetstream.update_stream(present.evolve(**_fields(plan.wanted, changes))), f"stream {name}"
        )


async def _provision_durable(jetstream: JetStreamContext, plan: DurablePlan) -> None:
    name = str(plan.wanted.durable_name)
    what = f"durable {plan.stream}/{name}"
    try:
        present = (await jetstream.consumer_info(plan.stream, name)).config
    except NotFoundError:
        await _call(jetstream.add_consumer(plan.stream, plan.wanted), what)
        return
    changes = _drift(what, plan.wanted.as_dict(), present.as_dict(), plan.updatable)
    if changes:
        changed = present.evolve(**_fields(plan.wanted, changes))
        await _call(jetstream.add_consumer(plan.stream, changed), what)


def _drift(
    what: str, wanted: Mapping[str, Any], present: Mapping[str, Any], updatable: frozenset[str]
) -> frozenset[str]:
    """The fields to change. Raises CannotProvision for one that must not be changed."""
    different = frozenset(
        field for field, value in wanted.items() if plain(value) != plain(present.get(field))
    )
    if harmful := sorted(different - updatable):
        found = ", ".join(f"{one} is {present.get(one)!r}, not {wanted[one]!r}" for one in harmful)
        raise CannotProvision(f"{what} exists with another configuration: {found}")
    return different


def _fields(config: api.StreamConfig | api.ConsumerConfig, names: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}


async def _call(request: Any, what: str) -> None:
    try:
        await request
    except APIError as error:
        raise CannotProvision(f"{what}: {error.description}") from error


class ProvisionSettings(ServiceSettings):
    """nats_mirror_seed_file: the seed of who owns the account of the mirror; without it there is none."""

    nats_mirror_seed_file: Path | None = None


async def main(settings: ProvisionSettings) -> None:
    async with _connected(settings, settings.nats_seed_file) as client:
        await provision(client)
        if settings.nats_mirror_seed_file is not None:
            async with _connected(settings, settings.nats_mirror_seed_file) as owner:
                await _call(keep_mirror(client, owner), "the mirror of EVENTS")


@asynccontextmanager
async def _connected(settings: ServiceSettings, seed: Path | None) -> AsyncIterator[Client]:
    client = await nats.connect(
        settings.nats_url,
        nkeys_seed=str(seed) if seed else None,
        inbox_prefix=b"_INBOX_provision",
        name="provision",
        allow_reconnect=False,
        connect_timeout=5,
    )
    try:
        yield client
    finally:
        await client.close()
