"""An anchor that somebody changed by hand counts as it was written, as far as that was seen."""

import copy
import json

import pytest

from libs.common.cluster.kubernetes.anchor_object import Written, parse_anchor
from libs.common.cluster.kubernetes.manifests import make_anchor
from libs.common.events.envelope import Position
from tests.support.clusters import DEPLOYMENT
from tests.unit.cluster.kubernetes.test_anchor import PRESENT


def object_of(anchor=PRESENT, *, version=7, uid="u-1"):
    made = make_anchor(anchor, namespace="replicas")
    return {**made, "metadata": {**made["metadata"], "uid": uid, "resourceVersion": str(version)}}


def lists_less(raw):
    plan = json.loads(raw["data"]["plan.json"])
    plan["replicas"].pop()
    raw["data"]["plan.json"] = json.dumps(plan)


def rests_on_more(raw):
    lists_less(raw)
    plan = json.loads(raw["data"]["plan.json"])
    plan["fence"]["sequence"] = 9
    raw["data"]["plan.json"] = json.dumps(plan)


def lost_its_plan(raw):
    raw["data"].pop("plan.json")


def other_template(raw):
    raw["data"]["run.template.json"] = raw["data"]["run.template.json"].replace("C4", "C5")


def lost_a_label(raw):
    raw["metadata"]["labels"].popitem()


def changed(change, **more):
    raw = copy.deepcopy(object_of(version=8, **more))
    change(raw)
    return parse_anchor(raw)


def test_what_we_wrote_is_as_written_also_with_what_others_add():
    raw = object_of()
    raw["metadata"]["labels"]["theirs"] = "x"
    raw["metadata"]["annotations"] = {"theirs": "x"}
    held = parse_anchor(raw)
    assert held.is_as_written
    assert (held.anchor, held.deployment_id) == (PRESENT, DEPLOYMENT)


@pytest.mark.parametrize("change", [lists_less, lost_its_plan, other_template, lost_a_label])
def test_a_change_by_hand_is_seen_and_what_was_written_counts(change):
    held = changed(change)
    assert not held.is_as_written
    written = Written()
    assert written.mend(held) == held
    written.take(None, parse_anchor(object_of()))
    written.take(parse_anchor(object_of()), held)
    mended = written.mend(held)
    assert (mended.anchor, mended.problem, mended.version) == (PRESENT, None, 8)
    assert not mended.is_as_written


def test_what_rests_on_another_plan_may_be_one_that_was_not_seen():
    written = Written()
    written.take(None, parse_anchor(object_of()))
    held = changed(rests_on_more)
    assert written.mend(held) == held
    assert held.anchor.fence == Position(9, "log", "h5")


def test_another_object_of_that_name_is_not_mended():
    written = Written()
    written.take(None, parse_anchor(object_of()))
    held = changed(lists_less, uid="u-2")
    assert written.mend(held) == held


def test_one_that_is_gone_is_forgotten():
    written = Written()
    before = parse_anchor(object_of())
    written.take(None, before)
    written.take(before, None)
    held = changed(lists_less)
    assert written.mend(held) == held


@pytest.mark.parametrize("version", [1, 3])
def test_other_versions_had_no_digest_or_have_another_one(version):
    raw = object_of()
    raw["data"].pop("digest")
    raw["data"]["plan.json"] = raw["data"]["plan.json"].replace('"version":2', f'"version":{version}')
    assert parse_anchor(raw).is_as_written
