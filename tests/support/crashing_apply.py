"""Applies a workload in a process of its own and dies by SIGKILL at a named point of it.

`python -m tests.support.crashing_apply ROOT POINT REPLICAS`
"""

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path

from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.home import Home
from libs.common.cluster.local.shim import files
from libs.common.cluster.local.shim.supervise import Shim, take_over
from tests.support.clusters import run_of, workload


class Point(StrEnum):
    WORKLOAD_SAVED = "workload_saved"
    REPLICA_UNFINISHED = "replica_unfinished"
    REPLICA_RECORDED = "replica_recorded"
    SHIM_LOCKED = "shim_locked"
    PROCESS_UNRECORDED = "process_unrecorded"
    PROCESS_RECORDED = "process_recorded"
    PROCESS_RUNNING = "process_running"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingHome(Home):
    """Dies while the intent is written."""

    point: Point

    def save_workload(self, deployment_id, workload):
        super().save_workload(deployment_id, workload)
        if self.point is Point.WORKLOAD_SAVED:
            die()

    def create(self, record):
        if self.point is Point.REPLICA_UNFINISHED:
            unfinished = self.deployment(record.deployment_id) / f".new-{record.replica_id}"
            unfinished.mkdir()
            die()
        directory = super().create(record)
        if self.point is Point.REPLICA_RECORDED:
            die()
        return directory


class DyingShim(Shim):
    """Dies while the process is started."""

    point: Point

    def run(self):
        if self.point is Point.SHIM_LOCKED:
            die()
        super().run()

    def _note_start(self, pid):
        if self.point is Point.PROCESS_UNRECORDED:
            die()
        super()._note_start(pid)
        if self.point is Point.PROCESS_RECORDED:
            die()

    def _sleep(self, seconds):
        if self.point is Point.PROCESS_RUNNING:
            die()
        super()._sleep(seconds)


def main(root: str, point: str, number: str) -> None:
    DyingHome.point = DyingShim.point = Point(point)
    cluster = LocalCluster(Path(root))
    cluster._home = DyingHome(Path(root))
    directories = cluster._write(workload(run_of(int(number))), 1)
    shim = take_over(str(directories[0]))
    DyingShim(str(directories[0]), files.read_json(f"{directories[0]}/{files.RECORD}")).run()
    raise AssertionError(f"{shim} never reached {point}")


if __name__ == "__main__":
    main(*sys.argv[1:])
