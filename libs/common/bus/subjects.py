"""Subjects and names of what is not an event: commands, signals and the streams that hold them."""

PLATFORM_ACCOUNT = "platform"
"""The broker's account that holds every stream of ours."""

MIRROR_ACCOUNT = "mirror"
"""The one that holds the copy of the events that other systems read."""

EVENTS_STREAM = "EVENTS"
COMMANDS_STREAM = "COMMANDS"
SIGNALS_STREAM = "SIGNALS"
PARKED_STREAM = "PARKED"
"""Advisories about messages that a worker gave up on (a poison event is parked, promise 6)."""

OUTCOMES_STREAM = "OUTCOMES"
"""What became of each command: one message for each, under the key of its source and id."""
OUTCOMES_ROOT = "outcomes"

RECONCILER_DURABLE = "reconciler"
COMMANDS_DURABLE = "api-commands"

PROBES_STREAM = "PROBES"
"""One message, written again and again: whether the broker can write at all."""

WRITE_PROBE = "probes.write"

SUBMIT = "commands.*.deployment.submit"
DELETE = "commands.*.deployment.delete"


def heartbeat(service: str) -> str:
    return f"signals.heartbeat.{service}"


HEARTBEATS = "signals.heartbeat.*"


def rejected(project_id: str) -> str:
    """Where a command's refusal goes."""
    return f"commands.{project_id}.rejected"


def done(project_id: str) -> str:
    """Where the answer to a command goes that was carried out, or found everything as it asks."""
    return f"commands.{project_id}.done"


ANSWERS = (rejected("*"), done("*"))
"""What only the api publishes, and whoever sends commands hears."""
