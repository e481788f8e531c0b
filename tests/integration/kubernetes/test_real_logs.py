"""What is read of the logs that a real kubelet and a real runtime have: the fixture `real_node`."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.logs import LONGEST_LINE
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.cluster.port import last_of
from libs.common.machine_types.catalogue import catalogue
from tests.support.clusters import DEPLOYMENT, all_run, replicas, run_of, template, workload
from tests.support.fault_proxy import FaultProxy, Forward, before
from tests.support.kubelab.examples import EXAMPLES
from tests.support.kubernetes_world import prepare
from tests.support.log_lines import read_lines
from tests.support.polling import eventually

LINES = 12_000
PER_SECOND = 1_000
SIZE = 100
MOST_BYTES = 64 * 1024

STEADY = f"""
import sys, time
for number in range({LINES}):
    print(f"{{number:05d}} ".ljust({SIZE}, "x"))
    if number % 10 == 9:
        sys.stdout.flush()
        time.sleep(10 / {PER_SECOND})
time.sleep(10_000)
"""
"""No second has more than so many lines, however busy the machine is."""

LONG = f"""
import time
for number in range(4):
    print(f"before {{number}}", flush=True)
    print(f"long {{number}} ".ljust({3 * LONGEST_LINE}, "y"), flush=True)
print("after", flush=True)
print("not ended", end="", flush=True)
time.sleep(10_000)
"""


class Read:
    """What a proxy has handed on of logs. size: bytes. asked: requests."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.size = 0
        self.asked = 0
        proxy.on("GET", "pods", self._count, times=1_000_000)

    async def _count(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        answer = await forward()
        if request.path.endswith("/log"):
            assert isinstance(answer, web.Response)
            assert isinstance(answer.body, bytes)
            self.size += len(answer.body)
            self.asked += 1
        return answer

    @contextmanager
    def at_most(self, *, size: int, asked: int) -> Iterator[None]:
        self.size = self.asked = 0
        yield
        assert self.size <= size
        assert self.asked <= asked


@pytest.fixture
async def real(real_node, real_namespace, tmp_path):
    """(a cluster that is reached through a proxy, what that hands on of logs)."""
    prepare(real_node.client, real_namespace)
    types, _ = catalogue([{"name": "C4", "cpus": 0.5, "memoryGib": 0.25}])
    async with (
        before(real_node.kubeconfig, tmp_path) as proxy,
        KubernetesCluster.opened(
            proxy.kubeconfig,
            namespace=real_namespace,
            machine_types=types,
            timing=Timing(grace_s=1, drain_s=1),
        ) as cluster,
    ):
        yield cluster, Read(proxy)


def run_that(*command: str):
    of = template("/usr/local/bin/python", "-I", "-c", *command)
    return run_of(1, of=of.model_copy(update={"image": EXAMPLES, "readiness": None}))


async def writes(cluster: KubernetesCluster, program: str, last: str) -> str:
    """The replica of this program, when it has written this as its last line."""
    await cluster.apply(workload(run_that(program)), fence=1)

    async def runs() -> bool:
        return bool(all_run(1)(await replicas(cluster)))

    await eventually(runs, every_s=0.1)

    async def has_written() -> bool:
        page = await cluster.logs(DEPLOYMENT, limit=1, newest_first=True)
        return [line.message for line in page.lines] == [last]

    await eventually(has_written, every_s=0.5)
    return (await replicas(cluster))[0].replica_id


async def test_a_page_costs_what_its_lines_cost_wherever_it_begins(real):
    cluster, read = real
    wrote = [f"{number:05d} ".ljust(SIZE, "x") for number in range(LINES)]
    replica_id = await writes(cluster, STEADY, wrote[-1])
    whole = await read_lines(cluster, DEPLOYMENT)
    assert [line.message for line in whole] == wrote
    page = 20
    stamped = SIZE + len("2026-01-01T00:00:00.000000000Z \n")

    # From either end: the lines, and a few besides.
    with read.at_most(size=8 * 1024, asked=2):
        first = await cluster.logs(DEPLOYMENT, limit=page)
    assert list(first.lines) == whole[:page]
    with read.at_most(size=(page + 10) * stamped, asked=1):
        last = await cluster.logs(DEPLOYMENT, limit=page, newest_first=True)
    assert list(last.lines) == whole[-page:][::-1]
    # Whoever follows has all but the second in which the last line was written.
    with read.at_most(size=8 * PER_SECOND * stamped, asked=6):
        nothing = await cluster.logs(DEPLOYMENT, limit=page, after=whole[-1].id)
    assert (nothing.lines, nothing.has_more) == ((), False)
    # From the middle of the log: the API server knows nothing finer than a second.
    for position in (LINES // 10, LINES // 2, LINES * 9 // 10):
        after = whole[position].id
        with read.at_most(size=3 * PER_SECOND * stamped, asked=8):
            behind = await cluster.logs(DEPLOYMENT, limit=page, after=after)
        assert list(behind.lines) == whole[position + 1 :][:page]
        with read.at_most(size=6 * PER_SECOND * stamped, asked=12):
            earlier = await cluster.logs(DEPLOYMENT, limit=page, after=after, newest_first=True)
        assert list(earlier.lines) == whole[:position][::-1][:page]
    # The last words are as many as have room.
    with read.at_most(size=4 * MOST_BYTES, asked=4):
        heard = cluster.last_words(DEPLOYMENT, replica_id, most_bytes=MOST_BYTES, ends_within_s=0)
        (words,) = [each async for each in heard]
    assert words.lines == last_of(whole, MOST_BYTES)


async def test_a_line_that_the_runtime_wrote_in_pieces_is_one_and_has_its_beginning(real):
    cluster, _ = real
    replica_id = await writes(cluster, LONG, "after")
    shown = [line.message for line in await read_lines(cluster, DEPLOYMENT, limit=100)]
    assert [message.rstrip("y").strip() for message in shown] == [
        *(f"{what} {number}" for number in range(4) for what in ("before", "long")),
        "after",
    ]
    long = shown[1]
    assert LONGEST_LINE - 40 < len(long) < LONGEST_LINE
    assert long == "long 0 ".ljust(len(long), "y")
    whole = await read_lines(cluster, DEPLOYMENT, limit=100)
    for limit in (1, 3):
        assert await read_lines(cluster, DEPLOYMENT, limit=limit) == whole
        assert await read_lines(cluster, DEPLOYMENT, limit=limit, newest_first=True) == whole[::-1]
    heard = cluster.last_words(DEPLOYMENT, replica_id, most_bytes=MOST_BYTES, ends_within_s=0)
    (words,) = [each async for each in heard]
    assert words.lines == last_of(whole, MOST_BYTES)
