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

SCALING_STREAM = "KV_SCALING"
"""A bucket: the present reasoning about each deployment's scaling, and the memory behind it."""
SCALING_ROOT = "$KV.SCALING"

LEASES_STREAM = "KV_LEASES"
"""A bucket: which copy of a service leads, one entry for each service that has one leader."""
LEASES_ROOT = "$KV.LEASES"

CHECKS_STREAM = "CHECKS"
"""How the checks of each deployment's replicas stand: the newest signal of each."""

RECONCILER_DURABLE = "reconciler"
COMMANDS_DURABLE = "api-commands"

TAILS_STREAM = "TAILS"
"""The last that gone and crashed replicas wrote: one message for each replica."""
TAILS_ROOT = "tails"

PROBES_STREAM = "PROBES"
"""One message, written again and again: whether the broker can write at all."""

WRITE_PROBE = "probes.write"

METRICS_STREAM = "METRICS"
"""Samples of replicas and requests, for about an hour."""

COMMANDS = "commands.{project_id}.deployment.{verb}"
"""Every command. The names in braces are those that FastStream and the AsyncAPI document show."""

SUBMIT = COMMANDS.format(project_id="*", verb="submit")
DELETE = COMMANDS.format(project_id="*", verb="delete")

DONE = "commands.{project_id}.done"
"""Where the answer to a command goes that was carried out, or found everything as it asks."""

REJECTED = "commands.{project_id}.rejected"
"""Where a command's refusal goes."""


def heartbeat(service: str) -> str:
    return f"signals.heartbeat.{service}"


HEARTBEATS = heartbeat("*")


def samples(kind: str = "*", source: str = "*") -> str:
    """Of one kind, by one source: health, or one Envoy."""
    return f"metrics.{kind}.{source}"


def tail(deployment_id: str, slot: int | str) -> str:
    return f"{TAILS_ROOT}.{deployment_id}.{slot}"


def checks(deployment_id: str) -> str:
    return f"checks.{deployment_id}"


def rejected(project_id: str) -> str:
    return REJECTED.format(project_id=project_id)


def done(project_id: str) -> str:
    return DONE.format(project_id=project_id)


ANSWERS = (rejected("*"), done("*"))
"""What only the api publishes, and whoever sends commands hears."""
