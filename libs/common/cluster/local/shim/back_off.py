"""How long a replica that ended waits for its restart: the kubelet's rule. Pure."""

from libs.common.back_off import BackOff

RESTART = BackOff(10.0, 300.0)
FORGIVEN_AFTER_S = 600.0


def next_back_off_s(previous_s: float | None, ran_s: float) -> float:
    """Seconds to wait now, given the wait before this run (None at the first) and how long the run lasted.

    | previous | ran           | wait                |
    |----------|---------------|---------------------|
    | None     | any           | 0                   |
    | any      | >= 10 minutes | 0                   |
    | 0        | < 10 minutes  | 10                  |
    | n        | < 10 minutes  | 2n, at most 300     |
    """
    if previous_s is None or ran_s >= FORGIVEN_AFTER_S:
        return 0.0
    return RESTART.next_s(previous_s)
