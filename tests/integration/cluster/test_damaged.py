"""What lies in one deployment's folder, and its replicas may write there, hides no other deployment."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.shim import files
from libs.common.cluster.port import ObservedWorkload, ReplicaPhase, known
from libs.common.errors import DeploymentUnavailable
from tests.support.clusters import run_of, workload
from tests.support.polling import eventually

SICK, WELL = "a" * 32, "b" * 32


def by_a_folder(state: Path) -> None:
    state.unlink()
    state.mkdir()


def by_a_loop(state: Path) -> None:
    state.unlink()
    state.symlink_to(state)


def by_wrong_types(state: Path) -> None:
    state.write_text(json.dumps({**json.loads(state.read_text()), "started_at": "soon"}))


@pytest.mark.parametrize("damage", [by_a_folder, by_a_loop, by_wrong_types])
async def test_a_damaged_record_hides_its_own_deployment_alone(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    cluster = LocalCluster(tmp_path, grace_seconds=1)
    for deployment_id in (SICK, WELL):
        await cluster.apply(workload(run_of(1), deployment_id=deployment_id), fence=1)

    async def seen() -> dict[str, ObservedWorkload]:
        # By one who has seen nothing before.
        return dict(await LocalCluster(tmp_path).observe())

    async def both_run() -> bool:
        found = await seen()
        replicas = [replica for one in found.values() for replica in one.replicas]
        return [replica.phase for replica in replicas] == [ReplicaPhase.RUNNING] * 2

    await eventually(both_run)
    (replica,) = (await seen())[SICK].replicas
    state = tmp_path / "deployments" / SICK / replica.replica_id / files.STATE
    whole = state.read_bytes()
    try:
        damage(state)
        found = await seen()
        assert found[SICK].problem
        with pytest.raises(DeploymentUnavailable):
            known(found[SICK])
        assert [r.phase for r in found[WELL].replicas] == [ReplicaPhase.RUNNING]
    finally:
        state.rmdir() if state.is_dir() else state.unlink()
        state.write_bytes(whole)
        await eventually(both_run)
        await cluster.shutdown(grace_seconds=0)
