"""What holds for every load, policy and past."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from libs.common.scaling.behavior import (
    Behavior,
    Rate,
    RateType,
    Select,
    scale_down_rules,
    scale_up_rules,
)
from libs.common.scaling.cause import Cause
from libs.common.scaling.hpa import decide_hpa
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured, ResourceMetric
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.limiting import Change, limit
from libs.common.scaling.proposals import Proposal
from libs.common.scaling.replicas import Bounds, Phase, Replica, Resource, Sample
from libs.common.scaling.request_duration import RequestDuration
from libs.common.scaling.stabilising import Recommendation, stabilise
from libs.common.scaling.stepping import step_down
from tests.support.recomputing import proposed, recomputed

NOW = 1_000_000.0
REQUESTS = {Resource.CPU: 1000, Resource.MEMORY: 4000}

numbers = st.integers(0, 12)
ages = st.integers(0, 900)
rates = st.builds(Rate, st.sampled_from(RateType), st.integers(1, 300), st.integers(1, 600))
some_rates = st.lists(rates, min_size=1, max_size=3).map(tuple)
windows = st.sampled_from([0, 60, 300])
selects = st.sampled_from(Select)
behaviors = st.builds(
    Behavior,
    st.builds(scale_up_rules, window_s=windows, rates=some_rates, select=selects),
    st.builds(scale_down_rules, window_s=windows, rates=some_rates, select=selects),
)
metrics = st.lists(
    st.builds(ResourceMetric, st.sampled_from(Resource), st.integers(1, 100))
    | st.builds(DurationMetric, st.integers(1_000, 1_000_000)),
    min_size=1,
    max_size=3,
    unique_by=lambda metric: metric.name,
)
policies = st.builds(HpaPolicy, metrics.map(tuple), st.none() | behaviors)
bounds = st.tuples(st.integers(1, 12), numbers).map(lambda pair: Bounds(pair[0], sum(pair)))
memories = st.builds(
    HpaMemory,
    st.none() | st.lists(st.builds(Recommendation, numbers, ages.map(lambda age: NOW - age))).map(tuple),
    st.lists(st.builds(Change, st.integers(-5, 5), ages.map(lambda age: NOW - age))).map(tuple),
)
readiness = st.none() | st.booleans()


@st.composite
def fleets(draw, size):
    """As many replicas as are in force, in any state but leaving or failed, which are not of that number."""
    return [
        Replica(
            str(index),
            draw(st.sampled_from([Phase.RUNNING, Phase.RUNNING, Phase.PENDING])),
            NOW - draw(ages),
            draw(readiness),
            NOW - draw(ages),
            requests=REQUESTS,
        )
        for index in range(size)
    ]


@st.composite
def loads(draw, size):
    """Samples of some of them, and how long requests take."""
    levels = {
        resource: {
            str(index): Sample(draw(st.integers(0, 2 * REQUESTS[resource])), draw(st.integers(0, 60)))
            for index in range(size)
            if draw(st.booleans())
        }
        for resource in Resource
    }
    measured = st.builds(RequestDuration, st.integers(0, 10**9), st.integers(0, 2000), st.integers(0, 400))
    return Measured(levels, draw(st.none() | measured))


@st.composite
def situations(draw):
    """All that a decision rests on, with the number in force within the bounds."""
    within = draw(bounds)
    current = draw(st.integers(within.minimum, within.maximum))
    return {
        "policy": draw(policies),
        "bounds": within,
        "current": current,
        "replicas": draw(fleets(current)),
        "measured": draw(loads(current)),
        "memory": draw(memories),
        "now": NOW,
        "is_rolling_out": draw(st.booleans()),
    }


def decided(situation, **changed):
    inputs = {**situation, **changed}
    return decide_hpa(inputs.pop("policy"), **inputs)


@given(situation=situations(), current=numbers)
def test_within_the_bounds_wherever_it_begins(situation, current):
    within = situation["bounds"]
    assert within.minimum <= decided(situation).replicas <= within.maximum
    decision = decided(situation, current=current)
    assert decision.cause is Cause.DISABLED or within.minimum <= decision.replicas <= within.maximum


@given(situation=situations(), factor=st.integers(1, 3), more=st.integers(0, 1000))
def test_more_load_is_never_fewer_replicas(situation, factor, more):
    measured = situation["measured"]
    heavier = {
        resource: {name: replace(one, milli=one.milli * factor + more) for name, one in samples.items()}
        for resource, samples in measured.samples.items()
    }
    duration = measured.duration
    slower = duration and replace(duration, sum_us=duration.sum_us * factor + more * duration.answered)
    loaded = decided(situation, measured=Measured(heavier, slower))
    assert loaded.replicas >= decided(situation).replicas


@given(situation=situations(), data=st.data())
def test_what_is_unknown_never_lowers(situation, data):
    measured = situation["measured"]
    gone = data.draw(st.sampled_from([metric.name for metric in situation["policy"].metrics]))
    known = {resource: one for resource, one in measured.samples.items() if resource.value != gone}
    duration = None if gone == "requestDuration" else measured.duration
    unknown = decided(situation, measured=Measured(known, duration))
    assert unknown.replicas >= situation["current"]


@given(situation=situations())
def test_without_any_measurement_nothing_changes(situation):
    decision = decided(situation, measured=Measured())
    assert (decision.replicas, decision.cause) == (situation["current"], Cause.METRICS_UNKNOWN)
    assert decided(situation, replicas=[]).replicas >= situation["current"]


@given(situation=situations())
def test_whoever_remembers_nothing_takes_nothing_away(situation):
    slow = HpaPolicy(situation["policy"].metrics)
    assert decided(situation, policy=slow, memory=HpaMemory()).replicas >= situation["current"]


@given(situation=situations(), random=st.randoms(use_true_random=False))
def test_the_order_of_replicas_samples_and_memory_does_not_matter(situation, random):
    def shuffled(items):
        items = list(items)
        random.shuffle(items)
        return items

    measured, memory = situation["measured"], situation["memory"]
    samples = {resource: dict(shuffled(one.items())) for resource, one in shuffled(measured.samples.items())}
    recommendations = memory.recommendations
    other = decided(
        situation,
        replicas=shuffled(situation["replicas"]),
        measured=Measured(samples, measured.duration),
        memory=HpaMemory(
            None if recommendations is None else tuple(shuffled(recommendations)),
            tuple(shuffled(memory.changes)),
        ),
    )
    decision = decided(situation)
    assert (other.replicas, other.cause, other.conditions) == (
        decision.replicas,
        decision.cause,
        decision.conditions,
    )


@given(situation=situations())
def test_nothing_falls_while_a_new_run_comes_up(situation):
    assert decided(situation, is_rolling_out=True).replicas >= situation["current"]


@given(situation=situations())
def test_what_is_remembered_is_what_a_window_or_a_period_still_counts(situation):
    policy = situation["policy"]
    memory = decided(situation).memory
    longest_s = policy.longest_window_s
    assert all(NOW - one.at <= longest_s for one in memory.recommendations)
    assert memory.recommendations[-1:] != () or longest_s == 0


@given(current=numbers, desired=numbers, bounds=bounds, behavior=behaviors, memory=memories)
def test_a_limit_lies_between_the_number_and_what_is_desired_or_on_a_bound(
    current, desired, bounds, behavior, memory
):
    found = limit(current, desired, bounds=bounds, behavior=behavior, changes=memory.changes, now=NOW)
    low, high = sorted((current, desired))
    assert low <= found.replicas <= high or found.replicas in (bounds.minimum, bounds.maximum)


@given(current=numbers, desired=numbers, memory=memories, up_s=windows, down_s=windows)
def test_stabilising_only_holds_back(current, desired, memory, up_s, down_s):
    past = memory.recommendations or ()
    held = stabilise(current, desired, past, up_window_s=up_s, down_window_s=down_s, now=NOW)
    low, high = sorted((current, desired))
    assert low <= held.replicas <= high


@given(current=st.integers(0, 200), floor=st.integers(0, 200), rate=st.integers(1, 100))
def test_steps_end_at_the_proposal_and_never_pass_it(current, floor, rate):
    steps = 0
    last_step = 0.0
    while current > floor:
        step = step_down(
            current, floor, rate_percent=rate, delay_s=10, last_step=last_step, now=last_step + 10
        )
        assert floor <= step.replicas < current
        current, last_step, steps = step.replicas, step.last_step, steps + 1
    assert steps <= 200


in_flight = st.floats(0, 200, allow_nan=False)


@given(loads=st.tuples(in_flight, in_flight, in_flight), current=numbers, ready=numbers, bounds=bounds)
def test_in_flight_is_within_the_bounds_and_never_fewer_for_more(loads, current, ready, bounds):
    stable, panic, more = loads

    def number(extra, known=True):
        return decide_in_flight(
            InFlightPolicy(target=4, scale_down_delay_s=0),
            bounds=bounds,
            current=current,
            stable=stable + extra if known else None,
            panic=panic + extra,
            ready=ready,
            memory=InFlightMemory(),
            now=NOW,
        ).replicas

    assert bounds.minimum <= number(0.0) <= number(more) <= bounds.maximum
    assert number(0.0, known=False) == bounds.clamp(current)


@given(situation=situations(), current=numbers)
def test_its_reasoning_alone_leads_to_the_same_number(situation, current):
    for number in (situation["current"], current):
        decision = decided(situation, current=number)
        again = recomputed(
            situation["policy"],
            decision.reasoning,
            bounds=situation["bounds"],
            current=number,
            is_rolling_out=situation["is_rolling_out"],
        )
        assert again == decision.replicas
        for outcome in decision.reasoning.outcomes if decision.reasoning else ():
            if isinstance(outcome.proposal, Proposal):
                assert proposed(outcome.proposal, current=number) == outcome.proposal.replicas
