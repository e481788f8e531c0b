import pytest

from services.api.health.log_watch import AGAIN_S, INTERVAL_S, LogCondition, NoRoom


def test_a_broker_that_does_not_answer_once_is_no_problem_and_no_reason_to_refuse():
    condition = LogCondition()
    condition.missed("no answer")
    assert condition.problem == ""
    condition.missed("no answer")
    assert condition.problem == "no answer"
    condition.check_room()
    condition.checked(refused="")
    assert condition.problem == ""


def test_what_the_broker_refuses_stays_so_while_it_is_silent():
    condition = LogCondition()
    condition.checked(refused="no space left")
    condition.missed("no answer")
    assert condition.problem == "the log cannot be written: no space left"
    with pytest.raises(NoRoom, match="no space left"):
        condition.check_room()


def test_a_shortage_refuses_while_appends_are_still_taken():
    condition = LogCondition(shortage=lambda: "the disk is nearly full")
    assert condition.problem == "the disk is nearly full"
    with pytest.raises(NoRoom, match="nearly full"):
        condition.check_room()
    condition.checked(refused="refused")
    assert condition.problem == "the log cannot be written: refused; the disk is nearly full"


def test_the_next_look_comes_sooner_while_something_is_wrong():
    condition = LogCondition()
    assert condition.look_in_s == INTERVAL_S
    condition.missed("no answer")
    assert condition.look_in_s == AGAIN_S
    condition.checked(refused="no space left")
    assert condition.look_in_s == AGAIN_S
    condition.checked(refused="")
    assert condition.look_in_s == INTERVAL_S
