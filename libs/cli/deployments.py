"""Commands about one deployment or all: each takes its name or its id."""

import shlex
from collections.abc import Callable
from typing import Annotated

import typer
from rich.text import Text

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import DEADLINE_S, AsJson, Deadline, Project, Wait, finish
from libs.cli.errors import reported_errors
from libs.cli.instants import instant
from libs.client import Json
from libs.common.clock import utc_now

Deployment = Annotated[str, typer.Argument(callback=naming.given, help="Name or id of the deployment.")]


def list_(
    project: Annotated[
        str | None,
        typer.Option(
            "--project", "-p", callback=naming.given, help="Id of a project; without it those of all."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """List deployments, newest first."""
    with reported_errors(), connect() as client:
        found = list(client.deployments(project_id=project))
        if json:
            show.as_json(found)
            return
        now = utc_now()
        show.table(
            ("ID", "NAME", "STATUS", "AGE", "PROJECT", "ENDPOINT"),
            (
                (
                    d["id"],
                    d["name"],
                    show.status(d),
                    show.age(d["dtCreated"], now=now),
                    d["projectId"],
                    d["endpoint"],
                )
                for d in found
            ),
            empty="no deployments",
            optional={"PROJECT", "ENDPOINT"},
        )


def get(
    deployment: Deployment,
    project: Project = "default",
    at: Annotated[
        str | None, typer.Option(help="A time (RFC 3339; local without an offset) or an event sequence.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show a deployment and its replicas, or what it was at a past instant."""
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        found = client.deployment(deployment_id, at=instant(at))
        runs = client.runs(deployment_id) if at is None else []
        if json:
            show.as_json(found if at else {**found, "runs": runs})
            return
        show_deployment(found, runs)
        if at is None:
            _show_runs(runs)


def history(deployment: Deployment, project: Project = "default", json: AsJson = False) -> None:
    """Show every spec of a deployment, newest first; of a deleted one by its id."""
    with reported_errors(), connect() as client:
        specs = list(client.history(naming.deployment_id(client, deployment, project=project)))
        if json:
            show.as_json(specs)
            return
        show.table(
            ("SPEC", "REPLICAS", "APPLIED", "HEALTHY AFTER", "ERROR", "NAME", "IMAGE"),
            (
                (
                    s["id"],
                    s["data"]["resources"]["replicas"] if s["data"]["enabled"] else "off",
                    show.local_time(s.get("externalApplied")),
                    show.duration(s.get("externalApplied"), s.get("dtHealthy")),
                    s.get("error"),
                    s["data"]["name"],
                    s["data"]["image"],
                )
                for s in specs
            ),
            empty="no specs",
            optional={"ERROR", "NAME", "IMAGE"},
        )


def diff(
    deployment: Deployment,
    before: Annotated[str, typer.Argument(metavar="FROM", help="A spec id.")],
    after: Annotated[str, typer.Argument(metavar="TO", help="A spec id.")],
    project: Project = "default",
    json: AsJson = False,
) -> None:
    """Show what differs between two specs."""
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        changes = client.diff(deployment_id, before=before, after=after)
        if json:
            show.as_json(changes)
            return
        show.changes(changes)


def rollback(
    deployment: Deployment,
    spec: Annotated[str, typer.Argument(help="The spec id to go back to.")],
    project: Project = "default",
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Register an earlier spec again, as a new one."""
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        client.rollback(deployment_id, spec)
        finish(client, deployment_id, wait=wait, timeout=timeout, json=json)


def enable(
    deployment: Deployment,
    project: Project = "default",
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Start a disabled deployment again."""

    def said_of_none(spec: Json) -> str | None:
        if spec["resources"]["replicas"]:
            return None
        return f"it wants 0 replicas: `specstream scale {shlex.quote(deployment)} N` starts it"

    def edit(spec: Json) -> None:
        spec["enabled"] = True

    _change(deployment, project, edit, wait=wait, timeout=timeout, json=json, said=said_of_none)


def disable(
    deployment: Deployment,
    project: Project = "default",
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Stop all replicas and keep the spec; calls are answered 404."""
    _change(
        deployment, project, lambda spec: spec.update(enabled=False), wait=wait, timeout=timeout, json=json
    )


def scale(
    deployment: Deployment,
    replicas: Annotated[
        int, typer.Argument(min=0, help="How many replicas should run; with autoscaling the fewest.")
    ],
    project: Project = "default",
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Change the number of replicas, with autoscaling the fewest; none of the others is restarted."""

    def edit(spec: Json) -> None:
        spec["resources"]["replicas"] = replicas

    _change(deployment, project, edit, wait=wait, timeout=timeout, json=json, said=said_of_the_floor)


def said_of_the_floor(spec: Json) -> str | None:
    """What `replicas` means where load moves the number; None where it does not."""
    resources = spec["resources"]
    block = resources.get("autoscaling")
    if block is None or not block["enabled"] or not resources["replicas"]:
        return None
    return (
        f"autoscaling is on: {resources['replicas']} is the fewest there are, and load decides up to "
        f"{block['maxReplicas']}"
    )


def delete(
    deployment: Deployment,
    project: Project = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Delete a deployment; its history stays readable."""
    with reported_errors(), connect() as client:
        found = client.deployment(naming.deployment_id(client, deployment, project=project))
        if not yes and not json:
            typer.confirm(f"Delete {found['name']} ({found['id']})?", abort=True)
        client.delete(found["id"])
        if json:
            show.as_json({"id": found["id"]})
        else:
            show.console.print(f"deleted {found['id']}")


def _change(
    name_or_id: str,
    project: str,
    edit: Callable[[Json], None],
    *,
    wait: bool,
    timeout: float,
    json: bool,
    said: Callable[[Json], str | None] = lambda _: None,
) -> None:
    """Submit the latest spec with one field changed. said: what people are told of it once it is taken."""
    with reported_errors(), connect() as client:
        found = client.deployment(naming.deployment_id(client, name_or_id, project=project))
        config: Json = found["latestSpec"]["data"]
        edit(config)
        client.submit(config, project_id=found["projectId"], deployment_id=found["id"])
        if not json and (line := said(config)) is not None:
            show.say(Text(line, "dim"))
        finish(client, found["id"], wait=wait, timeout=timeout, json=json)


def show_deployment(found: Json, runs: list[Json]) -> None:
    spec = found.get("latestSpec") or {}
    config = spec.get("data")
    lines = [
        *_place(found.get("at")),
        ("id", found["id"]),
        ("name", found["name"]),
        ("project", found["projectId"]),
        ("status", show.status(found)),
        ("replicas", config and _wanted(config)),
        ("image", config and config["image"]),
        ("endpoint", found["endpoint"]),
        ("created", show.local_time(found["dtCreated"])),
        ("spec", spec.get("id")),
        ("applied", show.local_time(spec.get("externalApplied"))),
        ("healthy", show.local_time(spec.get("dtHealthy"))),
    ]
    if spec.get("error"):
        lines.append(("error", spec["error"]))
    lines += [("stalled", run["stalled"]) for run in runs if run.get("stalled")]
    show.fields(lines)


def _place(at: Json | None) -> list[tuple[str, str]]:
    """Which instant is shown; nothing where it is the present."""
    if at is None:
        return []
    event = f"event {at['sequence']}"
    return [("at", event if at["time"] is None else f"{show.local_time(at['time'])}, after {event}")]


def _wanted(config: Json) -> str:
    """How many replicas a spec asks for; `off` as `history` has it."""
    resources = config["resources"]
    if not config["enabled"]:
        return "off"
    floor, block = resources["replicas"], resources.get("autoscaling")
    if not floor or block is None or not block["enabled"]:
        return str(floor)
    return f"{floor} to {block['maxReplicas']}, as load decides"


def _show_runs(runs: list[Json]) -> None:
    show.console.print()
    now = utc_now()
    show.table(
        ("REPLICA", "RUN", "STATE", "AGE", "RESTARTS", "MESSAGE"),
        (
            (
                i["id"],
                run["id"][:8],
                i["state"],
                show.age(i["dtCreated"], now=now),
                i.get("restarts") or None,
                i.get("stateMessage"),
            )
            for run in runs
            for i in run["instances"]
        ),
        empty="no replicas",
        optional={"RESTARTS", "MESSAGE"},
    )
