"""What an operator is shown of every deployment, and since when something is amiss."""

import pytest

from libs.common.events.deployment import DeploymentDeleted
from libs.common.scaling.limiting import Change
from services.autoscaler.fleet import Fleet, turns
from services.autoscaler.gauges import Gauges
from services.autoscaler.memory import KeptMemory
from tests.support.gauges import shown as told
from tests.support.scaling_story import Story, by_cpu


def shown(story: Story, fleet: Fleet):
    fleet.note(story.name)
    return fleet.shown(now=story.now)


def test_a_deployment_without_autoscaling_is_shown_as_well():
    story = Story(None, floor=2)
    found = shown(story, Fleet(story.knowledge))
    assert (found.wanted, found.ready, found.short_for) == ({"d1": 2}, {"d1": 2}, {"d1": 0})
    assert found.unknown_for == found.at_ceiling_for == found.direction_changes == {}


def test_fewer_ready_than_wanted_are_counted_from_when_that_began():
    story = Story(None, floor=2, start_s=60)
    fleet = Fleet(story.knowledge)
    assert shown(story, fleet).short_for == {"d1": 0}
    story.pass_time(30)
    assert (found := shown(story, fleet)).short_for == {"d1": 30}
    assert (found.wanted, found.ready) == ({"d1": 2}, {"d1": 0})
    story.pass_time(30)
    assert shown(story, fleet).short_for == {"d1": 0}


def test_at_the_ceiling_since_the_decision_that_reached_it():
    story = Story(by_cpu(50, most=2))
    fleet = Fleet(story.knowledge)
    story.go_on(600, lambda: story.use(cpu=0.1))
    assert shown(story, fleet).at_ceiling_for == {"d1": 0}
    story.go_on(30, lambda: story.use(cpu=100))
    before = shown(story, fleet).at_ceiling_for["d1"]
    story.go_on(300, lambda: story.use(cpu=100))
    assert story.in_force == 2
    assert shown(story, fleet).at_ceiling_for == {"d1": before + 300}
    story.go_on(900, lambda: story.use(cpu=0.1))
    assert shown(story, fleet).at_ceiling_for == {"d1": 0}


def test_a_ceiling_that_is_the_floor_holds_nothing_back():
    story = Story(by_cpu(50, most=1))
    story.go_on(300, lambda: story.use(cpu=100))
    assert shown(story, Fleet(story.knowledge)).at_ceiling_for == {"d1": 0}


def test_how_long_it_is_at_the_ceiling_is_kept_over_a_restart():
    story = Story(by_cpu(50, most=2))
    story.go_on(300, lambda: story.use(cpu=100))
    memory = story.knowledge.memories["d1"]
    assert memory.at_ceiling_since is not None
    kept = KeptMemory.model_validate_json(KeptMemory.of(memory, now=story.now).model_dump_json())
    read = kept.read(memory.stretch_id, now=7.0)
    assert read.at_ceiling_since == 7.0 - (story.now - memory.at_ceiling_since)
    assert KeptMemory.model_validate({}).read("s", now=7.0).at_ceiling_since is None


def test_what_is_unknown_is_counted_from_when_nothing_came():
    story = Story(by_cpu(50))
    fleet = Fleet(story.knowledge)
    story.go_on(60, lambda: story.use(cpu=0.1))
    assert shown(story, fleet).unknown_for == {"d1": 0}
    story.go_on(300, lambda: None)
    # A sample counts for three intervals.
    assert 300 - 60 <= shown(story, fleet).unknown_for["d1"] <= 300


def test_what_is_decided_seldom_is_shown():
    story = Story(by_cpu(50))
    fleet = Fleet(story.knowledge)
    assert shown(story, fleet).oldest_s == 0
    story.pass_time(20)
    assert shown(story, fleet).oldest_s == 20
    story.decide()
    assert shown(story, fleet).oldest_s == 0
    assert Fleet(Story(None).knowledge).shown(now=0).oldest_s == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), 0),
        (((1, 0),), 0),
        (((1, 0), (2, 10)), 0),
        (((1, 0), (-1, 10)), 1),
        (((1, 0), (-1, 10), (3, 20), (-2, 30)), 3),
        (((1, -2000), (-1, 10)), 0),
    ],
)
def test_changes_of_direction(changes, expected):
    assert turns(tuple(Change(*one) for one in changes), now=100) == expected


def test_a_deployment_that_is_deleted_is_shown_no_more():
    story = Story(by_cpu(50))
    fleet = Fleet(story.knowledge)
    assert shown(story, fleet).wanted == {"d1": 1}
    story.tell(DeploymentDeleted(name="demo"))
    found = shown(story, fleet)
    assert found.wanted == found.ready == found.short_for == found.unknown_for == {}


def test_who_leads_again_begins_anew():
    story = Story(None, floor=2, start_s=600)
    fleet = Fleet(story.knowledge)
    shown(story, fleet)
    story.pass_time(100)
    assert shown(story, fleet).short_for == {"d1": 100}
    fleet.forget()
    assert fleet.shown(now=story.now).short_for == {"d1": 0}


async def test_only_the_copy_that_leads_tells_of_deployments():
    story, leads = Story(by_cpu(50)), [True]
    fleet = Fleet(story.knowledge)
    fleet.note_all()
    gauges = Gauges(fleet, leads=lambda: leads[0], ticks=lambda: story.now)
    await gauges.tell()
    assert told("specstream.deployment.wanted") == {("d1",): 1}
    assert told("specstream.autoscaler.decision_age") == {(): 0}
    leads[0] = False
    story.pass_time(7)
    await gauges.tell()
    for name in ("deployment.wanted", "deployment.short_for", "autoscaler.decision_age"):
        assert told(f"specstream.{name}") == {}
    assert told("specstream.samples.age")["usage",] == 7
    leads[0] = True
    await gauges.tell()
    assert told("specstream.deployment.wanted") == {("d1",): 1}
