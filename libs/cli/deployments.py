"""Commands about one deployment or all: each takes its name or its id."""

import time
from typing import Annotated, Any

import typer

from libs.cli import show
from libs.cli.connection import connect
from libs.cli.deploy import DEADLINE_S, AsJson, Deadline, Project, Wait, finish
from libs.cli.errors import told
from libs.client import Client, Json

Deployment = Annotated[str, typer.Argument(help="Name or id of the deployment.")]

FOLLOW_S = 0.5


def list_(
    project: Annotated[str | None, typer.Option("--project", "-p")] = None, json: AsJson = False
) -> None:
    """List deployments, newest first."""
    with told(), connect() as client:
        found = list(client.deployments(project_id=project))
        if json:
            show.as_json(found)
            return
        show.table(
            ("ID", "NAME", "PROJECT", "STATUS", "ENDPOINT", "CREATED"),
            (
                (
                    d["id"],
                    d["name"],
                    d["projectId"],
                    show.status(d),
                    d["endpoint"],
                    show.local_time(d["dtCreated"]),
                )
                for d in found
            ),
            empty="no deployments",
        )


def get(
    deployment: Deployment,
    project: Project = "default",
    at: Annotated[str | None, typer.Option(help="A time (RFC 3339) or an event sequence.")] = None,
    json: AsJson = False,
) -> None:
    """Show a deployment and its replicas, or what it was at a past instant."""
    with told(), connect() as client:
        found = (
            client.find(deployment, project_id=project)
            if at is None
            else client.deployment(deployment, at=at)
        )
        runs = client.runs(found["id"]) if at is None else []
        if json:
            show.as_json(found if at else {**found, "runs": runs})
            return
        _show_deployment(found)
        if at is None:
            _show_runs(runs)


def history(deployment: Deployment, project: Project = "default", json: AsJson = False) -> None:
    """Show every spec of a deployment, newest first; of a deleted one by its id."""
    with told(), connect() as client:
        specs = list(client.history(_id(client, deployment, project)))
        if json:
            show.as_json(specs)
            return
        show.table(
            ("SPEC", "NAME", "IMAGE", "REPLICAS", "ENABLED", "APPLIED", "HEALTHY", "ERROR"),
            (
                (
                    s["id"],
                    s["data"]["name"],
                    s["data"]["image"],
                    s["data"]["resources"]["replicas"],
                    s["data"]["enabled"],
                    show.local_time(s.get("externalApplied")),
                    show.local_time(s.get("dtHealthy")),
                    s.get("error"),
                )
                for s in specs
            ),
            empty="no specs",
        )


def diff(
    deployment: Deployment,
    before: Annotated[str, typer.Argument(metavar="FROM", help="A spec id.")],
    after: Annotated[str, typer.Argument(metavar="TO", help="A spec id.")],
    project: Project = "default",
    json: AsJson = False,
) -> None:
    """Show what differs between two specs."""
    with told(), connect() as client:
        changes = client.diff(_id(client, deployment, project), before=before, after=after)
        if json:
            show.as_json(changes)
            return
        show.table(
            ("PATH", "FROM", "TO"),
            ((c["path"], c["from"], c["to"]) for c in changes),
            empty="no difference",
        )


def rollback(
    deployment: Deployment,
    spec: Annotated[str, typer.Argument(help="The spec id to go back to.")],
    project: Project = "default",
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Register an earlier spec again, as a new one."""
    with told(), connect() as client:
        deployment_id = _id(client, deployment, project)
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
    _change(
        deployment, project, lambda spec: spec.update(enabled=True), wait=wait, timeout=timeout, json=json
    )


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
    replicas: Annotated[int, typer.Argument(min=0, help="How many replicas should run.")],
    project: Project = "default",
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Change the number of replicas; none of the others is restarted."""
    _change(
        deployment,
        project,
        lambda spec: spec["resources"].update(replicas=replicas),
        wait=wait,
        timeout=timeout,
        json=json,
    )


def delete(
    deployment: Deployment,
    project: Project = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Delete a deployment; its history stays readable."""
    with told(), connect() as client:
        found = client.find(deployment, project_id=project)
        if not yes and not json:
            typer.confirm(f"Delete {found['name']} ({found['id']})?", abort=True)
        client.delete(found["id"])
        if json:
            show.as_json({"id": found["id"]})
        else:
            show.console.print(f"deleted {found['id']}")


def logs(
    deployment: Deployment,
    project: Project = "default",
    replica: Annotated[str | None, typer.Option("--replica", help="Of this replica only.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    json: AsJson = False,
) -> None:
    """Show what the replicas wrote, the gone ones' last words too."""
    with told(), connect() as client:
        deployment_id = client.find(deployment, project_id=project)["id"]
        after: str | None = None
        while True:
            for line in client.logs(deployment_id, instance_id=replica, after=after):
                after = line["id"]
                if json:
                    show.as_json_line(line)
                else:
                    print(f"{(line.get('instanceId') or '')[:12]}  {line['message']}", flush=True)
            if not follow:
                return
            time.sleep(FOLLOW_S)


def _id(client: Client, name_or_id: str, project: str) -> str:
    """The deployment's id; what looks like no known deployment may still be the id of a deleted one."""
    for found in client.deployments(project_id=project, name=name_or_id):
        if found["name"] == name_or_id:
            return str(found["id"])
    return name_or_id


def _change(name_or_id: str, project: str, edit: Any, *, wait: bool, timeout: float, json: bool) -> None:
    """Submit the latest spec with one field changed."""
    with told(), connect() as client:
        found = client.find(name_or_id, project_id=project)
        config: Json = found["latestSpec"]["data"]
        edit(config)
        client.submit(config, project_id=found["projectId"], deployment_id=found["id"])
        finish(client, found["id"], wait=wait, timeout=timeout, json=json)


def _show_deployment(found: Json) -> None:
    spec = found.get("latestSpec") or {}
    show.table(
        ("FIELD", "VALUE"),
        (
            ("id", found["id"]),
            ("name", found["name"]),
            ("project", found["projectId"]),
            ("status", show.status(found)),
            ("endpoint", found["endpoint"]),
            ("created", show.local_time(found["dtCreated"])),
            ("spec", spec.get("id")),
            ("applied", show.local_time(spec.get("externalApplied"))),
            ("healthy", show.local_time(spec.get("dtHealthy"))),
            ("error", spec.get("error")),
        ),
        empty="",
    )


def _show_runs(runs: list[Json]) -> None:
    show.console.print()
    show.table(
        ("REPLICA", "RUN", "STATE", "MESSAGE", "SINCE"),
        (
            (i["id"], run["id"][:12], i["state"], i.get("stateMessage"), show.local_time(i["dtCreated"]))
            for run in runs
            for i in run["instances"]
        ),
        empty="no replicas",
    )
