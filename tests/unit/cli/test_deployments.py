"""What people read of a deployment, now and as it was."""

from typing import Any

import pytest

from libs.cli.deployments import show_deployment
from libs.cli.show import local_time

RESOURCES = {"machineType": "C4", "ports": [8000], "replicas": 2}


def told(capsys, *, at: dict[str, Any] | None = None, **config: Any) -> dict[str, str]:
    spec = {
        "id": "s1",
        "data": {"name": "demo", "image": "app:1", "enabled": True, "resources": RESOURCES, **config},
        "externalApplied": None,
        "dtHealthy": None,
    }
    found = {
        "id": "d1",
        "name": "demo",
        "projectId": "default",
        "endpoint": "d1.localhost:8080",
        "dtCreated": "2026-01-01T12:00:00.000000Z",
        "status": "ready",
        "latestSpec": spec,
    }
    show_deployment(found if at is None else {**found, "at": at}, [])
    lines = capsys.readouterr().out.splitlines()
    return {name: value.strip() for name, value in (line.split(maxsplit=1) for line in lines)}


def test_the_present_has_no_instant(capsys):
    now = told(capsys)
    assert "at" not in now
    assert (now["replicas"], now["image"], now["endpoint"]) == ("2", "app:1", "d1.localhost:8080")


@pytest.mark.parametrize("moment", [None, "2026-01-01T12:00:00.000000Z"])
def test_the_past_says_of_which_instant_it_is(capsys, moment):
    then = told(capsys, at={"sequence": 16, "time": moment})
    assert next(iter(then)) == "at"
    event = "event 16" if moment is None else f"{local_time(moment)}, after event 16"
    assert (then["at"], then["replicas"], then["image"]) == (event, "2", "app:1")


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"enabled": False}, "off"),
        ({"resources": {**RESOURCES, "replicas": 0}}, "0"),
        (
            {"resources": {**RESOURCES, "autoscaling": {"enabled": True, "maxReplicas": 5}}},
            "2 to 5, as load decides",
        ),
        ({"resources": {**RESOURCES, "autoscaling": {"enabled": False, "maxReplicas": 5}}}, "2"),
    ],
)
def test_the_replicas_that_are_wanted(capsys, config, wanted):
    assert told(capsys, **config)["replicas"] == wanted
