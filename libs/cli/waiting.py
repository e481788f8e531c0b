"""Waiting until a spec is served, and telling how it goes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from libs.cli.errors import CommandFailed
from libs.client import ApiError, Client, Unreachable
from libs.common.clock import monotonic

POLL_S = 0.25

REFUSED = "connection refused"
"""How the message of a check ends that nobody listened for; most often a program with a port of its own."""


@dataclass(frozen=True, slots=True)
class Line:
    """One replica as it is now, for the progress display."""

    replica_id: str
    run_id: str
    state: str
    message: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The deployment's newest spec and its replicas at one look."""

    deployment: dict[str, Any]
    lines: tuple[Line, ...]
    stalled: str | None = None
    """Why the rollout of that spec takes longer than one may."""

    @property
    def spec(self) -> dict[str, Any]:
        return self.deployment.get("latestSpec") or {}

    @property
    def is_wanted(self) -> bool:
        data = self.spec.get("data") or {}
        return bool(data.get("enabled", True)) and data.get("resources", {}).get("replicas", 1) > 0

    @property
    def is_done(self) -> bool:
        """A wanted spec is done when it is healthy, a stopped one when it is applied and nothing is left."""
        if self.is_wanted:
            return bool(self.spec.get("dtHealthy"))
        return bool(self.spec.get("externalApplied")) and not self.lines


def fetch(client: Client, deployment_id: str) -> Seen:
    deployment = client.deployment(deployment_id)
    runs = client.runs(deployment_id)
    lines = tuple(
        Line(instance["id"], run["id"], instance["state"], instance.get("stateMessage"))
        for run in runs
        for instance in run["instances"]
    )
    stalled = next((run["stalled"] for run in runs if run.get("stalled")), None)
    return Seen(deployment, lines, stalled)


def until_done(
    client: Client, deployment_id: str, *, deadline_s: float, on_change: Callable[[Seen], None]
) -> Seen:
    """Look until the newest spec is done. Every wait has a deadline.

    Raises CommandFailed when the spec failed as a whole, when its rollout is stalled, or with the replicas'
    own reasons when the deadline has passed. A platform that is away for a moment is waited for.
    """
    give_up = monotonic() + deadline_s
    last: Seen | None = None
    while True:
        try:
            seen = fetch(client, deployment_id)
        except (Unreachable, ApiError) as error:
            is_final = isinstance(error, ApiError) and error.status < 500
            if is_final or monotonic() >= give_up:
                raise
            time.sleep(POLL_S)
            continue
        if seen != last:
            on_change(seen)
            last = seen
        if seen.is_done:
            return seen
        if seen.spec.get("error"):
            raise CommandFailed(
                f"the spec cannot be applied: {seen.spec['error']}", f"  deployment {deployment_id}"
            )
        if seen.stalled:
            stalled = f"the rollout is stalled: {seen.stalled}"
            raise CommandFailed(stalled, *_still_trying(seen, of_the_platform(client)))
        if monotonic() >= give_up:
            raise CommandFailed(*reasons(seen, deadline_s, of_the_platform(client)))
        time.sleep(POLL_S)


def of_the_platform(client: Client) -> Sequence[str]:
    """What of the platform is not ready, and why: it holds up every deployment, and none of them says so."""
    try:
        client.health()
    except ApiError as error:
        problems = error.details.get("problems", {})
        return [
            f"  {name} is not ready{f': {problems[name]}' if name in problems else ''}"
            for name in error.details.get("notReady", ())
        ]
    except Unreachable as error:
        return [f"  {error}"]
    return []


def reasons(seen: Seen, deadline_s: float, platform: Sequence[str] = ()) -> Iterator[str]:
    """Why it is not done after so long, replica by replica, and what to look at. platform: lines about what
    all deployments wait for."""
    ready = sum(line.state == "running" for line in seen.lines if line.run_id == seen.spec.get("runId"))
    wanted = seen.spec.get("data", {}).get("resources", {}).get("replicas", 1) if seen.is_wanted else 0
    first = f"not done after {deadline_s:g} s: {ready} of {wanted} replicas are ready"
    yield first + (_who_serves_instead(seen) if seen.is_wanted else "")
    yield from _still_trying(seen, platform)


def _who_serves_instead(seen: Seen) -> str:
    """An update takes nothing away before it is ready."""
    before = sum(line.state == "running" for line in seen.lines if line.run_id != seen.spec.get("runId"))
    return f"; {before} of the version before {'goes' if before == 1 else 'go'} on serving" if before else ""


def _still_trying(seen: Seen, platform: Sequence[str]) -> Iterator[str]:
    has_several_runs = len({line.run_id for line in seen.lines}) > 1
    for line in seen.lines:
        of_run = f" of run {line.run_id[:8]}" if has_several_runs else ""
        yield f"  {line.replica_id}{of_run}: {line.state}{f': {line.message}' if line.message else ''}"
    if any(line.message and line.message.endswith(REFUSED) for line in seen.lines):
        yield "  nothing listens there: a replica has to listen on the port that its variable PORT names"
    yield from platform
    yield f"  still trying; see `logs {seen.deployment['id']}`"
