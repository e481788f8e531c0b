"""Which stretch with autoscaling a registered spec is in: of every decision that registers one."""

from dataclasses import replace

import pytest

from libs.common.events.deployment import SpecRegistered
from libs.common.spec.model import Spec
from libs.common.spec.template import make_template, run_id
from libs.common.state.deployment import DeploymentState
from services.api.commands.deployment import Rollback, Submit, SubmitState, decide_rollback, decide_submit
from tests.support.deployments import a_spec, by_load
from tests.support.specs import KUBERNETES_OFFER

ID = "a" * 32


def scaled(*, replicas: int = 2, most: int = 5, enabled: bool = True, is_on: bool = True) -> Spec:
    return by_load(a_spec(replicas=replicas, enabled=is_on), most=most, enabled=enabled)


def holder(spec: Spec, *, since: str | None) -> DeploymentState:
    run = run_id(make_template(spec))
    state = DeploymentState("default", ID, name=spec.name, spec=spec, spec_id="s1", run_id=run)
    return replace(state, scaling_since=since, is_created=True)


def stretch(drafts) -> str | None:
    (fact,) = [draft.fact for draft in drafts if isinstance(draft.fact, SpecRegistered)]
    return fact.scaling_since


def test_a_first_spec_with_autoscaling_begins_one():
    for spec, since in ((scaled(), "s2"), (a_spec(), None)):
        made = decide_submit(SubmitState(True, 7), Submit("default", spec, "new", "s2"), KUBERNETES_OFFER)
        assert stretch(made.drafts) == since


@pytest.mark.parametrize(
    ("before", "since", "spec", "then"),
    [
        pytest.param(a_spec(), None, scaled(), "s2", id="on"),
        pytest.param(scaled(), "s1", scaled(most=9), "s1", id="other bounds"),
        pytest.param(scaled(), "s0", a_spec(replicas=3), None, id="taken out"),
        pytest.param(scaled(), "s0", scaled(enabled=False), None, id="turned off"),
        pytest.param(scaled(), "s0", scaled(replicas=0), None, id="0 replicas"),
        pytest.param(scaled(), "s0", scaled(is_on=False), None, id="the deployment is disabled"),
        pytest.param(scaled(enabled=False), None, scaled(), "s2", id="turned on again"),
    ],
)
def test_a_spec_goes_on_with_it_or_ends_it(before, since, spec, then):
    target = holder(before, since=since)
    state = SubmitState(True, 7, name_owner=ID, target=target)
    assert (
        stretch(decide_submit(state, Submit("default", spec, "new", "s2"), KUBERNETES_OFFER).drafts) == then
    )

    earlier = SpecRegistered(spec_id="s0", run_id=run_id(make_template(spec)), spec=spec)
    again = decide_rollback(target, earlier, Rollback(ID, "s0", "s2"), KUBERNETES_OFFER)
    assert stretch(again.drafts) == then
