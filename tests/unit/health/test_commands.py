"""What a check that is a command means by how it ended."""

import pytest

from libs.common.cluster.port import Checked
from libs.common.spec.model import ExecAction, HealthCheck
from services.health.commands import outcome_of
from services.health.probing import Failure, Success

CHECK = HealthCheck(exec=ExecAction(command=("check",)), timeout_seconds=2)


@pytest.mark.parametrize(
    ("checked", "outcome"),
    [
        (Checked(status=0), Success()),
        (Checked(status=0, output="all is well"), Success()),
        (Checked(status=1), Failure("exited with status 1")),
        (Checked(status=137, output="password=hunter2"), Failure("exited with status 137")),
        (Checked(signal=9), Failure("ended by signal 9")),
        (Checked(has_timed_out=True), Failure("timed out after 2 s")),
        (Checked(problem="cannot start: 'x' does not exist"), Failure("cannot start: 'x' does not exist")),
    ],
)
def test_exit_status_0_alone_is_success_and_what_it_wrote_is_never_said(checked, outcome):
    assert outcome_of(checked, CHECK) == outcome
