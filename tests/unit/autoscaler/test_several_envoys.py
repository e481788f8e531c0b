"""What several Envoys count and carry, summed: whatever comes when, and whichever of them is silent.

The properties say the same as the code in the simplest way: with all that was ever received at hand.
"""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from libs.common.autoscaling.in_flight_loads import Averages, InFlightLoads
from libs.common.autoscaling.request_counts import RequestCounts
from libs.common.metrics.samples import Batch, Kind, RequestsInFlight, RequestTotals

EVERY_S = 5
WINDOW_S = 60
SILENT_S = 3 * EVERY_S
ROUNDS = 40
ENVOYS = ("e1", "e2", "e3")


@dataclass(frozen=True)
class Life:
    """Of one Envoy: in which rounds it answers how many more, and in which it says nothing."""

    name: str
    answers: tuple[int, ...]
    silent: frozenset[int]

    def spoke(self, number: int) -> list[int]:
        return [one for one in range(number + 1) if one not in self.silent]


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    names = draw(st.lists(st.sampled_from(ENVOYS), min_size=1, unique=True))
    found = []
    for name in names:
        answers = draw(st.lists(st.integers(0, 50), min_size=ROUNDS, max_size=ROUNDS))
        begin, length = draw(st.integers(1, ROUNDS)), draw(st.integers(0, 20))
        found.append(Life(name, tuple(answers), frozenset(range(begin, begin + length))))
    return found


def totals(life: Life, number: int) -> Batch:
    answered = sum(life.answers[: number + 1])
    total = RequestTotals(deployment_id="d", answered=answered, duration_us=1000 * answered)
    return Batch(
        kind=Kind.REQUESTS,
        source=life.name,
        counter_id=f"{life.name}-1",
        number=number,
        interval_s=EVERY_S,
        ended_at=float(number * EVERY_S),
        is_whole=True,
        requests=(total,),
    )


@given(lives(), st.randoms(use_true_random=False))
def test_counts_are_the_sum_of_all_and_unknown_while_one_that_is_waited_for_is_silent(envoys, order):
    counts = RequestCounts(WINDOW_S)
    for number in range(ROUNDS):
        now = float(number * EVERY_S)
        for life in order.sample(envoys, len(envoys)):
            if number not in life.silent:
                counts.take(totals(life, number), at=now, wanted={"d"})
        measured = counts.measured("d", now=now)
        silences = [now - EVERY_S * life.spoke(number)[-1] for life in envoys]
        waited_for = [silence for silence in silences if silence <= WINDOW_S]
        if not waited_for or max(waited_for) > SILENT_S:
            assert measured is None
            continue
        assert measured is not None
        assert measured.answered == sum(counted(life, number) for life in envoys if _is_there(life, number))
        assert measured.sum_us == 1000 * measured.answered


def _is_there(life: Life, number: int) -> bool:
    return (number - life.spoke(number)[-1]) * EVERY_S <= WINDOW_S


def counted(life: Life, number: int) -> int:
    """What it has told of within the window, since measuring of it began."""
    spoke = life.spoke(number)
    began = spoke[0]
    for before, after in itertools.pairwise(spoke):
        if (after - before) * EVERY_S > SILENT_S:
            began = after
    since = max(began, *(one for one in spoke if (number - one) * EVERY_S >= WINDOW_S), 0)
    return sum(life.answers[since + 1 : spoke[-1] + 1])


def flying(source: str, number: int, in_flight: float) -> Batch:
    return Batch(
        kind=Kind.IN_FLIGHT,
        source=source,
        counter_id="",
        number=number,
        interval_s=1,
        ended_at=float(number),
        is_whole=True,
        in_flight=(RequestsInFlight(deployment_id="d", in_flight=in_flight),),
    )


@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=3),
    st.integers(20, 60),
    st.integers(0, 80),
)
def test_what_is_in_flight_is_the_sum_and_unknown_while_one_that_is_waited_for_is_silent(
    carried, begin, length
):
    """The first is silent for a while; all carry the same all the time."""
    loads, windows = InFlightLoads(), {"d": 60.0}
    for now in range(1, 150):
        for place, in_flight in enumerate(carried):
            if place > 0 or not begin <= now < begin + length:
                loads.take(flying(f"e{place}", now, float(in_flight)), at=float(now), windows=windows)
        found = loads.averages("d", window_s=60, panic_window_s=6, now=float(now))
        silence = now - (begin - 1) if begin <= now < begin + length else 0
        if 3 < silence <= 60:
            assert found == Averages()
        elif silence == 0 and not 0 <= now - (begin + length) < 60:
            assert found == Averages(float(sum(carried)), float(sum(carried)))
        elif silence > 120:
            assert found == Averages(float(sum(carried[1:])), float(sum(carried[1:])))


def test_counts_are_unknown_until_each_that_is_expected_was_heard_however_long_one_is_silent():
    counts = RequestCounts(WINDOW_S)
    lone, both = ("edge",), ("edge", "edge-2")
    first, second = (Life(name, (1,) * 100, frozenset()) for name in both)
    for number in range(100):
        now = float(number * EVERY_S)
        counts.take(totals(first, number), at=now, wanted={"d"})
        if 10 <= number < 20:
            counts.take(totals(second, number), at=now, wanted={"d"})
        measured = counts.measured("d", now=now, expected=both)
        assert (measured is None) == (not 10 <= number <= 19 + SILENT_S // EVERY_S)
    # One that is gone and not expected any more is not waited for.
    assert counts.measured("d", now=now, expected=lone) is not None


def test_loads_are_unknown_until_each_that_is_expected_was_heard_however_long_one_is_silent():
    loads, windows = InFlightLoads(), {"d": 60.0}
    for now in range(1, 200):
        loads.take(flying("edge", now, 4.0), at=float(now), windows=windows)
        if 10 <= now < 20:
            loads.take(flying("edge-2", now, 4.0), at=float(now), windows=windows)
        how = {"window_s": 60.0, "panic_window_s": 6.0, "now": float(now)}
        found = loads.averages("d", **how, expected=("edge", "edge-2"))
        assert (found == Averages()) == (not 10 <= now <= 22)
    assert loads.averages("d", **how, expected=("edge",)) == Averages(4.0, 4.0)
