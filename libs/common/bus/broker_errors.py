"""Why the broker refuses: its numbers for errors of JetStream, as far as we tell them apart."""

from enum import IntEnum


class BrokerError(IntEnum):
    """Compared with the `err_code` of an answer, which may also be one that is not here."""

    CONSUMER_NAME_IN_USE = 10013
    NO_MESSAGE = 10037
    """Nothing is stored under that subject, or at that sequence."""
    WRONG_SEQUENCE = 10071
    """A guard does not hold."""
    CONSUMER_EXISTS = 10148
    DUPLICATE_IN_FLIGHT = 10158
    """An earlier attempt of ours is being stored right now."""
    WRONG_SEQUENCE_IN_FLIGHT = 10164
    """Another message that the same guard watches is being stored right now, or in the same batch. It may be
    an earlier attempt of ours."""
    BATCH_INCOMPLETE = 10176
    """The server could not put a batch aside, whatever the cause."""
    DUPLICATE_IN_BATCH = 10201
    TOO_MANY_BATCHES = 10210
