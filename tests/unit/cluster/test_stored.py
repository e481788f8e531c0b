"""What another version of Specstream has left in the home."""

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common.clock import utc_now
from libs.common.cluster.local.home import Home, WorkloadRecord
from libs.common.cluster.local.observation import Observer
from libs.common.cluster.local.record import Record, load_record
from libs.common.cluster.local.shim.state import State
from libs.common.cluster.local.stored import UnreadableRecord
from libs.common.spec.template import Template

DEPLOYMENT, OTHER = "d" * 32, "e" * 32
AWAY = object()


def a_record(deployment_id: str, replica_id: str) -> Record:
    template = Template(image="model:1", command=("serve",), ports=(8000,), machine_type="C4")
    return Record(
        replica_id, deployment_id, "run", "spec", template, 0, utc_now(), None, "/usr/bin", grace_s=1.0
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two deployments of two replicas and one."""
    home = Home(tmp_path)
    for deployment_id, replicas in ((DEPLOYMENT, ("1" * 32, "2" * 32)), (OTHER, ("3" * 32,))):
        home.save_workload(deployment_id, WorkloadRecord("default", 7))
        for replica_id in replicas:
            home.create(a_record(deployment_id, replica_id))
    return home


def change(path: Path, **changes: Any) -> None:
    """Keys of a stored object; `AWAY` takes one away."""
    stored = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in stored.items() if value is not AWAY}))


def test_a_record_with_a_key_of_a_later_version_is_read_and_the_key_is_named_once(home: Home):
    directories = home.replicas(DEPLOYMENT)
    before = [load_record(directory) for directory in directories]
    for directory in directories:
        change(directory / "record.json", added_by_a_record={"by": 2})
    with capture_logs() as logs:
        assert [load_record(directory) for directory in directories] == before
    assert [(entry["kind"], entry["key"]) for entry in logs] == [("Record", "added_by_a_record")]


def test_a_workload_with_a_key_of_a_later_version_is_read_and_the_key_is_named(home: Home):
    before = home.workload(DEPLOYMENT)
    change(home.deployment(DEPLOYMENT) / "workload.json", added_by_a_workload=1)
    with capture_logs() as logs:
        assert home.workload(DEPLOYMENT) == before
    assert [(entry["kind"], entry["key"]) for entry in logs] == [("WorkloadRecord", "added_by_a_workload")]


def test_a_state_with_a_key_of_a_later_version_is_read():
    stored = State().to_json() | {"attempt": 3, "added_later": 1}
    assert State(stored).attempt == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"run_id": AWAY}, "lacks run_id", id="a key is missing"),
        pytest.param({"template": {"image": 1}}, "image", id="a template that is none"),
        pytest.param({"created_at": "yesterday"}, "created_at|str", id="a time that is none"),
    ],
)
def test_a_record_that_cannot_be_read_hides_its_own_deployment_alone_and_is_named(
    home: Home, changes: dict, says: str
):
    broken, _ = home.replicas(DEPLOYMENT)
    change(broken / "record.json", **changes)
    with pytest.raises(UnreadableRecord, match=rf"record.json cannot be read: [\s\S]*({says})") as refused:
        load_record(broken)
    assert str(broken) in str(refused.value)
    seen = Observer(home, utc_now).observe(home.deployment_ids()).workloads
    assert str(broken) in seen[DEPLOYMENT].problem
    assert [replica.replica_id for replica in seen[OTHER].replicas] == ["3" * 32]


def test_a_workload_without_its_fence_is_refused_by_name(home: Home):
    """No plan is let through for want of the fence that would stop it."""
    change(home.deployment(DEPLOYMENT) / "workload.json", fence=AWAY)
    with home.locked(DEPLOYMENT), pytest.raises(UnreadableRecord, match=r"workload.json .* lacks fence"):
        home.admit(DEPLOYMENT, 9)
