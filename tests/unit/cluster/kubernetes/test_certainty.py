"""Of which objects nobody else can know anything newer."""

import pytest

from libs.common.cluster.kubernetes import certainty
from libs.common.cluster.kubernetes.certainty import Certainty


@pytest.fixture
def known() -> Certainty:
    known = Certainty()
    known.list(["listed"])
    return known


def test_a_list_may_be_old_in_what_it_has_and_in_what_it_lacks(known: Certainty) -> None:
    assert not known.of("listed", is_there=True)
    assert not known.of("lacking", is_there=False)


def test_what_a_watch_tells_is_certain(known: Certainty) -> None:
    known.hear("listed", 5)
    known.hear("new", 6)
    assert known.of("listed", is_there=True)
    assert known.of("new", is_there=True)
    known.hear_gone("listed", 7)
    assert known.of("listed", is_there=False)


def test_what_the_server_itself_says_is_certain(known: Certainty) -> None:
    known.learn("listed")
    assert known.of("listed", is_there=True)
    known.learn_gone("lacking")
    assert known.of("lacking", is_there=False)


def test_what_a_watch_tells_before_it_has_caught_up_is_not(known: Certainty) -> None:
    known.is_behind(10)
    known.hear("listed", 9)
    known.hear_gone("other", 10)
    assert not known.of("listed", is_there=True)
    assert not known.of("other", is_there=False)
    known.hear("listed", 11)
    assert known.of("listed", is_there=True)


def test_what_comes_back_though_it_is_gone_is_not(known: Certainty) -> None:
    known.learn_gone("listed")
    known.hear("listed", 5)
    assert not known.of("listed", is_there=True)
    # A watch that is behind may tell several things of it before it tells of its end.
    known.hear("listed", 6)
    assert not known.of("listed", is_there=True)
    known.hear_gone("listed", 7)
    assert known.of("listed", is_there=False)


def test_what_comes_after_it_was_asked_for_in_vain_is_certain_once_it_was_asked_for_again(
    known: Certainty,
) -> None:
    known.learn_gone("new")
    known.hear("new", 5)
    known.learn("new")
    known.hear("new", 6)
    assert known.of("new", is_there=True)


def test_another_list_makes_everything_uncertain_again(known: Certainty) -> None:
    known.learn("listed")
    known.hear_gone("other", 5)
    known.is_behind(10)
    known.list(["listed"])
    assert not known.of("listed", is_there=True)
    assert not known.of("other", is_there=False)
    known.hear("listed", 6)
    assert known.of("listed", is_there=True)


def test_of_what_is_gone_the_newest_are_remembered(known: Certainty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certainty, "_REMEMBERED", 2)
    for number in range(3):
        known.hear_gone(f"pod-{number}", number + 1)
    assert [known.of(f"pod-{number}", is_there=False) for number in range(3)] == [False, True, True]
