"""Which run is measured and which has how many, while a new run takes over from an older one. Pure.

| the new run has ready     | the run that serves                                    | the number in force |
|---------------------------|--------------------------------------------------------|---------------------|
| none                      | what it has, or the number in force where that is more | does not fall       |
| fewer than are in force   | the rest                                               | does not fall       |
| as many as are in force   | none: it leaves                                        | goes by the new run |

Load that grows while a new run does not come up is met by the run that serves. So a broken spec and more
load together are no outage.
"""

from collections.abc import Mapping


def measured_run(ready: Mapping[str, int], *, newest: str) -> str:
    """The run whose replicas the metrics are taken of: the one with the most that are ready, of equals the
    newest.

    ready: by run. Only that run is measured, so replicas of a surge are not counted twice.
    """
    most = max(ready.values(), default=0)
    if ready.get(newest, 0) == most:
        return newest
    return min(run for run, count in ready.items() if count == most)


def serving_replicas(*, in_force: int, has: int, new_run_ready: int) -> int:
    """How many the run that serves is to have. has: how many it was to have until now."""
    return max(has, in_force) if new_run_ready == 0 else max(0, in_force - new_run_ready)
