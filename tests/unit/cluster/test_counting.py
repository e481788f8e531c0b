"""How many replicas a plan still lacks."""

import pytest

from libs.common.cluster.counting import missing
from libs.common.cluster.port import RunWorkload, Workload
from libs.common.spec.template import Template

TEMPLATE = Template(image="model:1", command=("serve",), ports=(8000,), machine_type="C4")
ANY = frozenset[str]()


def wanting(*, retiring=ANY, stopping=ANY, **replicas: int) -> Workload:
    runs = tuple(RunWorkload(run_id, "spec", TEMPLATE, number) for run_id, number in replicas.items())
    return Workload("default", "d", runs, retiring=frozenset(retiring), stopping=frozenset(stopping))


@pytest.mark.parametrize(
    ("workload", "present", "expected"),
    [
        pytest.param(wanting(new=2), [], ["new", "new"], id="all of them at first"),
        pytest.param(wanting(new=2), [("a", "new")], ["new"], id="only what is missing"),
        pytest.param(wanting(new=1), [("a", "new"), ("b", "new")], [], id="too many are left alone"),
        pytest.param(wanting(new=1), [("a", "old")], ["new"], id="another run's do not count"),
        pytest.param(wanting(new=1, retiring=["a"]), [("a", "new")], ["new"], id="nor do retiring ones"),
        pytest.param(wanting(new=1, stopping=["a"]), [("a", "new")], ["new"], id="nor do stopping ones"),
        pytest.param(wanting(new=1, old=1), [], ["new", "old"], id="each run by itself, in the plan's order"),
        pytest.param(wanting(new=0), [("a", "new")], [], id="none wanted, none made"),
    ],
)
def test_missing(workload, present, expected):
    assert [run.run_id for run in missing(workload, present)] == expected
