"""Which run is measured, and which has how many, while a new one takes over."""

import pytest

from libs.common.scaling.rollout import measured_run, serving_replicas


@pytest.mark.parametrize(
    ("ready", "measured"),
    [
        pytest.param({"old": 3, "new": 1}, "old", id="the one that serves most"),
        pytest.param({"old": 1, "new": 3}, "new", id="now the new one does"),
        pytest.param({"old": 2, "new": 2}, "new", id="of equals the newest"),
        pytest.param({"old": 2}, "old", id="the new one has none"),
        pytest.param({"older": 2, "old": 2, "new": 1}, "old", id="of equal older ones always the same"),
        pytest.param({"old": 0, "new": 0}, "new", id="none serves"),
        pytest.param({}, "new", id="nothing is there"),
    ],
)
def test_measured_run(ready, measured):
    assert measured_run(ready, newest="new") == measured


@pytest.mark.parametrize(
    ("in_force", "has", "new_run_ready", "replicas"),
    [
        pytest.param(3, 3, 0, 3, id="the new run comes up"),
        pytest.param(5, 3, 0, 5, id="the load grows meanwhile"),
        pytest.param(5, 3, 1, 4, id="what is ready takes the place of one"),
        pytest.param(2, 3, 0, 3, id="a lower number takes none away while none is ready"),
        pytest.param(3, 3, 3, 0, id="the new run is ready"),
        pytest.param(3, 5, 4, 0, id="it has more than that"),
        pytest.param(0, 3, 1, 0, id="the deployment is stopped"),
    ],
)
def test_serving_replicas(in_force, has, new_run_ready, replicas):
    assert serving_replicas(in_force=in_force, has=has, new_run_ready=new_run_ready) == replicas
