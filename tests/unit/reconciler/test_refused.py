"""When a refused spec is tried again."""

from services.reconciler.refused import Refused

ONE, OTHER = ("d1", "s1"), ("d2", "s2")


def test_each_pause_is_longer_up_to_a_longest():
    refused = Refused(first_s=1)
    tried = [now for now in range(100) if refused.due([ONE], now)]
    assert tried == [1, 3, 7, 15, 31, 51, 71, 91]


def test_another_spec_and_one_that_was_taken_meanwhile_begin_anew():
    refused = Refused(first_s=10)
    assert [refused.due([ONE, OTHER], now) for now in (0, 10)] == [[], ["d1", "d2"]]
    assert refused.due([("d1", "s3"), OTHER], 11) == []
    assert refused.due([("d1", "s3")], 21) == ["d1"]
    assert refused.due([OTHER], 30) == []
    assert refused.due([OTHER], 40) == ["d2"]
