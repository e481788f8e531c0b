"""What a new spec means, in the words of the reference API."""

import pytest

from services.api.readmodels.activity import Action, Activity, activities
from tests.support.deployments import a_spec, by_load

UPDATED = Activity(Action.UPDATED)
ON, OFF = Activity(Action.AUTOSCALING_ENABLED), Activity(Action.AUTOSCALING_DISABLED)
SCALED = Activity(Action.SCALED, {"from": 1, "to": 3})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(None, a_spec(), [], id="the first spec: created says it"),
        pytest.param(a_spec(), a_spec(replicas=3), [SCALED], id="only the number"),
        pytest.param(a_spec(), a_spec(enabled=False), [Activity(Action.DISABLED)], id="switched off"),
        pytest.param(a_spec(enabled=False), a_spec(), [Activity(Action.ENABLED)], id="switched on"),
        pytest.param(a_spec(), a_spec(name="x"), [Activity(Action.UPDATED)], id="renamed"),
        pytest.param(
            a_spec(),
            a_spec(name="x", replicas=3, enabled=False),
            [Activity(Action.UPDATED), Activity(Action.DISABLED), SCALED],
            id="everything at once",
        ),
        pytest.param(a_spec(), by_load(a_spec()), [ON], id="scaled by load from now on"),
        pytest.param(by_load(a_spec()), a_spec(), [OFF], id="no longer scaled by load"),
        pytest.param(by_load(a_spec()), by_load(a_spec(), enabled=False), [OFF], id="turned off, block kept"),
        pytest.param(by_load(a_spec(), enabled=False), by_load(a_spec()), [ON], id="turned on again"),
        pytest.param(by_load(a_spec()), by_load(a_spec(), most=9), [UPDATED], id="other bounds"),
        pytest.param(
            by_load(a_spec(), enabled=False),
            by_load(a_spec(), most=9),
            [UPDATED, ON],
            id="turned on with other bounds",
        ),
        pytest.param(a_spec(), by_load(a_spec(), enabled=False), [UPDATED], id="a block that is off"),
        pytest.param(by_load(a_spec()), by_load(a_spec(replicas=3)), [SCALED], id="another floor"),
    ],
)
def test_activities(before, after, expected):
    assert activities(before, after) == expected
