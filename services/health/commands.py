"""One attempt of a check that runs a command in the replica, through whoever looks after it."""

from libs.common.cluster.port import Checked, Cluster
from libs.common.errors import ClusterUnavailable, DeploymentUnavailable
from libs.common.spec.model import HealthCheck
from services.health.probing import Failure, Outcome, ProberError, Success


async def run_command(
    cluster: Cluster, deployment_id: str, replica_id: str, attempt: int, check: HealthCheck
) -> Outcome:
    """Within `timeoutSeconds`. Cancelled, it is ended in the replica too."""
    assert check.exec is not None
    try:
        checked = await cluster.run_check(
            deployment_id,
            replica_id,
            attempt=attempt,
            command=check.exec.command,
            timeout_s=check.timeout_seconds,
        )
    except (ClusterUnavailable, DeploymentUnavailable) as error:
        return ProberError(str(error))
    return outcome_of(checked, check)


def outcome_of(checked: Checked, check: HealthCheck) -> Outcome:
    """Exit status 0 is success. What the command wrote is no part of why it failed, since that is kept for
    ever, and a replica may write anything. Pure."""
    if checked.status == 0:
        return Success()
    return Failure(_why(checked, check), output=checked.output)


def _why(checked: Checked, check: HealthCheck) -> str:
    if checked.problem is not None:
        return checked.problem
    if checked.has_timed_out:
        return f"timed out after {check.timeout_seconds:g} s"
    if checked.signal is not None:
        return f"ended by signal {checked.signal}"
    return f"exited with status {checked.status}"
