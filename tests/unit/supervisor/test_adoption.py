import pytest

from libs.supervisor.adoption import decide
from libs.supervisor.processes import Living
from libs.supervisor.programs import Program

PROGRAMS = {name: Program(name, (f"/bin/{name}",), {}) for name in ("nats", "api")}
NATS, API = PROGRAMS["nats"].launch, PROGRAMS["api"].launch


@pytest.mark.parametrize(
    ("found", "kept", "obsolete"),
    [
        pytest.param([], {}, [], id="nothing lives"),
        pytest.param([Living(1, "nats", NATS, True)], {"nats": 1}, [], id="launched the same goes on"),
        pytest.param([Living(1, "nats", "other", True)], {}, [1], id="launched otherwise is stopped"),
        pytest.param(
            [Living(1, "api", API, True), Living(2, "api", API, True)],
            {"api": 1},
            [2],
            id="a double is stopped",
        ),
        pytest.param(
            [Living(1, "health", "h", True)], {}, [1], id="a program that is no longer run is stopped"
        ),
        pytest.param(
            [Living(1, "api", API, False)], {}, [], id="a child that inherited the marks is no program"
        ),
    ],
)
def test_decision(found, kept, obsolete):
    adoption = decide(PROGRAMS, found)
    assert {name: process.pid for name, process in adoption.kept.items()} == kept
    assert [process.pid for process in adoption.obsolete] == obsolete


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(Program("api", ("/bin/api", "-v"), {}), id="arguments"),
        pytest.param(Program("api", ("/bin/api",), {"SPECSTREAM_API_KEY": "new"}), id="environment"),
        pytest.param(Program("api", ("/bin/api",), {}, "configuration"), id="configuration"),
    ],
)
def test_a_launch_changes_with_its(changed):
    assert changed.launch != PROGRAMS["api"].launch
