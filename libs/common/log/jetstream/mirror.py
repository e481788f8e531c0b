"""The copy of EVENTS that other systems read, in an account where nothing else is.

A mirror has the same name, subjects and sequences as the stream that it copies. It can be made again at any
time; the consumers on it are then gone, as they are when the log itself has become another one.
"""

from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from libs.common.bus.subjects import EVENTS_STREAM, RECONCILER_DURABLE
from libs.common.log.mirror_subjects import API, DELIVER, MOST_CONSUMERS


def wanted() -> api.StreamConfig:
    return api.StreamConfig(
        name=EVENTS_STREAM,
        storage=api.StorageType.FILE,
        mirror=api.StreamSource(
            name=EVENTS_STREAM,
            external=api.ExternalStream(api=API, deliver=DELIVER),
        ),
        allow_direct=True,
        max_consumers=MOST_CONSUMERS,
        # It is written when there is time: what a crash takes from it, it fetches again.
        persist_mode=api.PersistMode.ASYNC,
    )


async def keep_mirror(ours: Client, theirs: Client) -> None:
    """Make the mirror, or make it anew when it is not a copy of the stream that is there now.

    ours: a connection that may read EVENTS. theirs: one that owns the mirror's account.
    """
    log, mirror = ours.jetstream(timeout=10), theirs.jetstream(timeout=10)
    try:
        present = await mirror.stream_info(EVENTS_STREAM)
    except NotFoundError:
        await mirror.add_stream(wanted())
    else:
        if not await _is_copy(log, mirror, present):
            await mirror.delete_stream(EVENTS_STREAM)
            await mirror.add_stream(wanted())
    await _bring_durables(log, mirror)


async def _bring_durables(log: JetStreamContext, mirror: JetStreamContext) -> None:
    """Other systems once had their durables on the log itself: they go on behind what was handled."""
    for info in await log.consumers_info(EVENTS_STREAM):
        name = info.config.durable_name
        if name is None or name == RECONCILER_DURABLE:
            continue
        behind = api.DeliverPolicy.BY_START_SEQUENCE
        handled = info.ack_floor.stream_seq if info.ack_floor else 0
        config = info.config.evolve(
            deliver_policy=behind, opt_start_seq=handled + 1, opt_start_time=None, metadata=None
        )
        await mirror.add_consumer(EVENTS_STREAM, config)
        await log.delete_consumer(EVENTS_STREAM, name)


async def _is_copy(ours: JetStreamContext, mirror: JetStreamContext, present: api.StreamInfo) -> bool:
    """Whether its first and its last are the same in the stream, and nothing between them is missing.

    A mirror goes on behind its last, whatever the stream before that is now.
    """
    ours_now, source = wanted().mirror, present.config.mirror
    if ours_now is None or source is None or source.external != ours_now.external:
        return False
    last = present.state.last_seq
    if last == 0:
        return True
    if present.state.messages != last:
        return False
    try:
        for sequence in (1, last):
            copied = await mirror.get_msg(EVENTS_STREAM, sequence)
            stored = await ours.get_msg(EVENTS_STREAM, sequence)
            if (copied.subject, copied.data, copied.time) != (stored.subject, stored.data, stored.time):
                return False
    except NotFoundError:
        return False
    return True
