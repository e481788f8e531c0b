"""The rules that a deployment is scaled by: as its newest spec says, whoever else says the same."""

from libs.common.scaling.replicas import Resource
from services.autoscaler import knowledge
from tests.support.scaling_story import Story, by_concurrency, by_cpu


def target(story: Story) -> float:
    (metric,) = story.knowledge.policies[story.name].rules.metrics
    assert metric.resource is Resource.CPU
    return metric.target_percent


def test_a_deployment_goes_by_its_newest_policy_and_back():
    story = Story(by_cpu(50))
    for percent in (80, 50, 80):
        story.register(autoscaling=by_cpu(percent))
        assert target(story) == percent
    story.register(autoscaling=by_concurrency(target=3))
    assert story.knowledge.policies[story.name].rules.target == 3


def test_the_settings_of_the_service_are_in_each_policy():
    story = Story(by_cpu(50), settings={"cpu_initialization_s": 7.0, "initial_readiness_delay_s": 3.0})
    for percent in (50, 60, 50):
        story.register(autoscaling=by_cpu(percent))
        rules = story.knowledge.policies[story.name].rules
        assert (rules.cpu_initialization_s, rules.initial_readiness_delay_s) == (7.0, 3.0)


def test_rules_that_are_remembered_for_others_are_bounded(monkeypatch):
    monkeypatch.setattr(knowledge, "MOST_RULES", 5)
    story = Story(by_cpu(1))
    for percent in range(1, 40):
        story.register(autoscaling=by_cpu(percent))
        assert target(story) == percent
        assert len(story.knowledge._rules_of) <= 5
