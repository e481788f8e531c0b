"""What pods use, as real kubelets measure it and metrics-server tells it."""

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.machine_types.catalogue import catalogue
from tests.support.clusters import DEPLOYMENT, all_run, replicas, run_of, template, workload
from tests.support.kubelab.examples import EXAMPLES
from tests.support.kubernetes_world import prepare
from tests.support.polling import eventually

MIB = 1024 * 1024
BUSY_S = 300.0
CORES = 0.2
BURN = f"""
import time
held = bytearray(64 * {MIB})
while True:
    time.sleep(0.02)
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
"""


@pytest.fixture
async def cluster(measured_real_node, real_namespace):
    prepare(measured_real_node.client, real_namespace)
    types, _ = catalogue([{"name": "C4", "cpus": CORES, "memoryGib": 0.25}])
    async with KubernetesCluster.opened(
        measured_real_node.kubeconfig,
        namespace=real_namespace,
        machine_types=types,
        timing=Timing(grace_s=1, drain_s=1),
    ) as cluster:
        yield cluster


def run_that(*command):
    of = template("/usr/local/bin/python", "-I", "-c", *command)
    return of.model_copy(update={"image": EXAMPLES, "readiness": None})


async def test_what_a_replica_uses_is_told_and_ends_with_it(cluster):
    before = utc_now().timestamp()
    busy = run_of(1, run_id="busy", of=run_that(BURN))
    idle = run_of(1, run_id="idle", of=run_that("import time; time.sleep(10_000)"))
    await cluster.apply(workload(busy, idle), fence=1)
    await eventually(lambda: _all_run(cluster, 2))
    of_run = {one.run_id: one.replica_id for one in await replicas(cluster)}

    async def are_measured():
        found = {used.replica_id: used for used in await cluster.usage()}
        return found if len(found) == 2 and (found[of_run["busy"]].cpu_cores or 0) > CORES / 4 else None

    found = await eventually(are_measured, within_s=BUSY_S, every_s=1.0)
    working, resting = found[of_run["busy"]], found[of_run["idle"]]
    assert (working.deployment_id, working.attempt) == (DEPLOYMENT, 0)
    assert before < working.ended_at <= utc_now().timestamp() + 1
    assert 0 < working.window_s <= 60
    assert (working.cpus, working.memory_gib) == (CORES, 0.25)
    # It is held to what its machine type has.
    assert CORES / 4 < working.cpu_cores < CORES * 1.5
    assert 64 * MIB < working.memory_bytes < 256 * MIB
    assert resting.cpu_cores < working.cpu_cores / 2
    assert resting.memory_bytes < 64 * MIB

    gone = of_run["busy"]
    await cluster.apply(workload(idle, retiring=[gone], stopping=[gone]), fence=2)
    await eventually(lambda: _all_run(cluster, 1))
    assert gone not in {used.replica_id for used in await cluster.usage()}


async def _all_run(cluster, number):
    return all_run(number)(await replicas(cluster))
