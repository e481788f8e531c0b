"""A node is drained, as an operator does it, while clients call the only replica: real pods, real calls."""

import asyncio
import subprocess

import pytest

from libs.common.cluster.kubernetes import names
from tests.e2e.test_on_kubernetes import pods
from tests.support.kubelab.images import lay_out_python, write_image
from tests.support.kubernetes_world import prepare
from tests.support.live_platform import HELLO, hello
from tests.support.polling import eventually

NAMESPACE = "default"
IMAGE = "kubelab.local/hello:1"
CLIENTS = 8


class World:
    """What the helper of pods needs."""

    namespace = NAMESPACE

    def __init__(self, client):
        self.client = client


@pytest.fixture
async def platform(own_platform, two_real_nodes, tmp_path):
    prepare(two_real_nodes.plane.client, NAMESPACE)
    lay_out_python(tmp_path / "tree", HELLO)
    write_image(
        tmp_path / "hello.tar",
        IMAGE,
        tmp_path / "tree",
        entrypoint=["/usr/local/bin/python", "-I", "/app/app.py"],
        env={"LD_LIBRARY_PATH": "/usr/local/lib:/" + str(_library_folder(tmp_path / "tree"))},
        user="65534",
    )
    await asyncio.to_thread(two_real_nodes.import_image, tmp_path / "hello.tar")
    own_platform.environment |= {
        "SPECSTREAM_CLUSTER": "kubernetes",
        "SPECSTREAM_KUBECONFIG": str(two_real_nodes.kubeconfig),
        "SPECSTREAM_KUBE_NAMESPACE": NAMESPACE,
    }
    await own_platform.start_and_wait()
    try:
        yield own_platform
    finally:
        # Before its nodes, since it would go on making pods; and their kubeconfig goes with them.
        await own_platform.stop()
        del own_platform.environment["SPECSTREAM_KUBECONFIG"]


def _library_folder(tree):
    """Where the interpreter's own library came to be, in the image."""
    found = next(tree.rglob("libpython*.so*"), tree / "lib")
    return found.parent.relative_to(tree)


async def test_a_drain_of_the_node_of_a_lone_replica_loses_no_call(platform, two_real_nodes):
    world = World(two_real_nodes.plane.client)
    spec = hello("drained", replicas=1, HOST="0.0.0.0") | {"image": IMAGE}
    del spec["command"]
    spec["resources"]["machineType"] = "C2"
    deployment_id = await platform.deploy(spec)
    (first,) = await pods(world)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/"
    pod = await asyncio.to_thread(world.client.get, path + names.pod_name(first))
    async with platform.calling(deployment_id, lanes=CLIENTS) as caller:
        argv = [two_real_nodes.plane.program, "kubectl", f"--kubeconfig={two_real_nodes.kubeconfig}"]
        argv += ["drain", pod["spec"]["nodeName"], "--timeout=180s"]
        drained = await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, check=False, timeout=200
        )
        assert drained.returncode == 0, drained.stderr
        (after,) = await pods(world)
        await eventually(lambda: caller.calls[-1].replica_id == after)
    assert not caller.failures()
    assert {call.replica_id for call in caller.calls} == {first, after}
    assert first != after
    assert len(caller.calls) > 10 * CLIENTS
