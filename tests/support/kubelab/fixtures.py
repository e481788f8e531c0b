"""The Kubernetes that tests share: the one of a kubeconfig that is given, else one of our own program.

One cluster serves the whole run, and each test gets a namespace of its own. A test that hurts the cluster
takes `own_kubernetes`, which is nobody else's. Where there is none, these tests are skipped and say what is
missing; SPECSTREAM_TEST_KUBERNETES=required makes them fail instead.

SPECSTREAM_TEST_REAL_NODE=1 asks for one with real nodes besides: on a machine that cannot have them the tests
that need them are skipped, and say why; `required` makes them fail there too. Where the machine can, and they
do not come up, they fail with either.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.kubelab import binary, machine
from tests.support.kubelab.client import Client
from tests.support.kubelab.control_plane import ControlPlane, wait_for_account
from tests.support.kubelab.metrics_server import metrics_server
from tests.support.kubelab.real_node import NODES
from tests.support.kubelab.shared import shared_cluster
from tests.support.kubelab.tiers import GIVEN, KUBECONFIG, NOT_ASKED_FOR, REAL, SIMULATED, note_lack, note_use
from tests.support.scheduling import needs_kubernetes

REQUIRED = "SPECSTREAM_TEST_KUBERNETES"

PATIENCE_S = binary.BUILD_PATIENCE_S + 900
"""For a test that may have to wait until the program is built."""


@dataclass(frozen=True, slots=True)
class KubernetesCluster:
    """kind: `kubeconfig`, `kubelab`, which has simulated nodes, or `real`. client: may do everything."""

    kind: str
    kubeconfig: Path
    client: Client


@pytest.fixture(scope="session")
def kubernetes_program(request: pytest.FixtureRequest) -> Path:
    """What our own cluster is started from, for a test that starts it itself."""
    return _program(request, SIMULATED)


@pytest.fixture(scope="session")
def kubernetes_cluster(request: pytest.FixtureRequest) -> Iterator[KubernetesCluster]:
    """Whichever there is."""
    given = os.environ.get(KUBECONFIG)
    if not given:
        yield request.getfixturevalue("simulated_cluster")
        return
    if not Path(given).is_file():
        pytest.fail(f"{KUBECONFIG}={given} is not a file: name a kubeconfig, or unset it")
    with _connected("kubeconfig", Path(given)) as cluster:
        note_use(request.config, GIVEN)
        yield cluster


@pytest.fixture(scope="session")
def simulated_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubernetesCluster]:
    """One whose nodes and pods do as they are told: tests/support/kubelab/states.py."""
    _program(request, SIMULATED)
    directory = _run_directory(tmp_path_factory) / "simulated"
    with shared_cluster(directory) as kubeconfig, _connected("kubelab", kubeconfig) as cluster:
        note_use(request.config, SIMULATED)
        yield cluster


@pytest.fixture(scope="session")
def real_node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubernetesCluster]:
    """One with real nodes beside tainted simulated ones; it changes the machine, and puts it back."""
    asked = os.environ.get(binary.REAL_NODE)
    if asked not in ("1", "required"):
        note_lack(request.config, REAL, NOT_ASKED_FOR)
        pytest.skip(f"no real node: {NOT_ASKED_FOR}")
    _program(request, REAL)
    directory = _run_directory(tmp_path_factory) / "real"
    try:
        with shared_cluster(directory, "real") as kubeconfig, _connected("real", kubeconfig) as cluster:
            note_use(request.config, REAL)
            yield cluster
    except machine.CannotUse as error:
        _give_up(request, REAL, f"no real node: {error}")


@pytest.fixture(scope="session")
def measured_real_node(
    request: pytest.FixtureRequest, real_node: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubernetesCluster]:
    """The one with real nodes, which says what their pods use, as metrics.k8s.io."""
    program = _program(request, REAL, binary.METRICS_SERVER)
    directory = tmp_path_factory.mktemp("metrics-server")
    with metrics_server(real_node.client, real_node.kubeconfig, program, directory, node=NODES[0]):
        yield real_node


@pytest.fixture
def real_namespace(real_node: KubernetesCluster) -> Iterator[str]:
    with fresh_namespace(real_node.client) as name:
        yield name


@pytest.fixture
def kube_namespace(kubernetes_cluster: KubernetesCluster) -> Iterator[str]:
    """A fresh namespace, in which pods can be made."""
    with fresh_namespace(kubernetes_cluster.client) as name:
        yield name


@pytest.fixture
def simulated_namespace(simulated_cluster: KubernetesCluster) -> Iterator[str]:
    with fresh_namespace(simulated_cluster.client) as name:
        yield name


@pytest.fixture
def own_kubernetes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControlPlane]:
    """A cluster for this test alone, to be hurt at will."""
    plane = ControlPlane(tmp_path / "kubelab", _program(request, SIMULATED))
    try:
        plane.start()
        note_use(request.config, SIMULATED)
        yield plane
    finally:
        plane.stop()


@contextmanager
def fresh_namespace(client: Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:10]}"
    client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        wait_for_account(client, name)
        yield name
    finally:
        client.delete(f"/api/v1/namespaces/{name}")


def _program(request: pytest.FixtureRequest, tier: str, of: binary.Program = binary.KUBELAB) -> Path:
    """Our own program, built now or waited for."""
    try:
        return binary.ensure(of)
    except binary.CannotBuild as error:
        _give_up(request, tier, f"no Kubernetes: {error}")


def _give_up(request: pytest.FixtureRequest, tier: str, reason: str) -> NoReturn:
    note_lack(request.config, tier, reason)
    if os.environ.get(binary.REAL_NODE if tier == REAL else REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that may have to wait for a build of many minutes are not ended by the limit of the others."""
    for item in items:
        if needs_kubernetes(item):
            item.add_marker(pytest.mark.timeout(PATIENCE_S))


@contextmanager
def _connected(kind: str, kubeconfig: Path) -> Iterator[KubernetesCluster]:
    client = Client.of_kubeconfig(kubeconfig)
    try:
        yield KubernetesCluster(kind, kubeconfig, client)
    finally:
        client.close()


def _run_directory(factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole run: the workers of a parallel one have theirs beside each other."""
    base = factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "kubernetes"
