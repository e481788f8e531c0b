"""What an operator gets who does as the documentation says: the two files, through `kubectl kustomize`."""

import asyncio
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.integration.kubernetes.test_rights import FOLDER, make
from tests.support.polling import PATIENCE_S

DOCUMENTATION = Path(__file__).parents[3] / "docs/how-to/operate.md"
_FILE = re.compile(r"^ *```yaml\n *# (?P<name>\S+\.yaml)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)

METADATA = "169.254.0.0/16"
"""Of the machines of a cloud."""
FOR_DOCUMENTATION = "192.0.2.0/24"
"""Nobody has one of these addresses."""


@pytest.fixture
def kustomize(kubernetes_program):
    """The result of a run in a folder, as a process that has ended."""

    def run(folder):
        return subprocess.run(
            [kubernetes_program, "kubectl", "kustomize", folder],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run


@pytest.fixture
def documented(tmp_path):
    """The folder with the two files of the documentation, beside a clone."""
    section = (
        DOCUMENTATION.read_text().partition("\n## Run replicas on Kubernetes\n")[2].partition("\n## ")[0]
    )
    files = {found["name"]: textwrap.dedent(found["text"]) for found in _FILE.finditer(section)}
    assert files.keys() == {"kustomization.yaml", "addresses.yaml"}
    shutil.copytree(FOLDER, tmp_path / "specstream" / "infra/kubernetes/replicas")
    folder = tmp_path / "ours"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def built(done):
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def named(objects, kind, name):
    (found,) = (one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def test_what_the_operator_says_is_in_the_policies(documented, kustomize):
    addresses = yaml.safe_load((documented / "addresses.yaml").read_text())
    assert min(len(addresses["edge"]), len(addresses["inner"])) > 1
    objects = built(kustomize(documented))
    (heard,) = named(objects, "NetworkPolicy", "replicas-hear-the-edge")["spec"]["ingress"]
    assert heard == {"from": addresses["edge"]}
    _, reached = named(objects, "NetworkPolicy", "replicas-reach-the-world")["spec"]["egress"]
    everything_else = {"cidr": "0.0.0.0/0", "except": [*addresses["inner"], METADATA]}
    assert reached == {"to": [{"ipBlock": everything_else}]}


def test_nothing_else_is_lost_or_added(documented, kustomize):
    made = [one for path in FOLDER.glob("*.yaml") for one in yaml.safe_load_all(path.read_text())]
    expected = {(one["kind"], one["metadata"]["name"]) for one in made if one["kind"] != "Kustomization"}
    objects = built(kustomize(documented))
    assert {(one["kind"], one["metadata"]["name"]) for one in objects} == expected
    places = {one["metadata"].get("namespace") for one in objects}
    assert places == {"specstream-replicas", None}


async def test_a_server_takes_every_object_in_a_namespace_of_another_name(
    documented, kustomize, kubernetes_world
):
    with (documented / "kustomization.yaml").open("a") as file:
        file.write(f"namespace: {kubernetes_world.namespace}\n")
    objects = built(kustomize(documented))
    subjects = [subject for one in objects for subject in one.get("subjects", ())]
    assert {subject["namespace"] for subject in subjects} == {kubernetes_world.namespace}
    for one in objects:
        await asyncio.to_thread(make, kubernetes_world, one, dryRun="All", fieldValidation="Strict")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("edge:", "edges:", id="a list of another name"),
        pytest.param("inner:", "innner:", id="another list of another name"),
        pytest.param("kind: Addresses", "kind: Adresses", id="another kind"),
        pytest.param("edge:", "edge: []\nothers:", id="an empty list, which is everybody in a policy"),
        pytest.param("inner:", "inner: []\nothers:", id="another empty list"),
    ],
)
def test_addresses_that_would_have_no_effect_are_refused(documented, kustomize, old, new):
    file = documented / "addresses.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    done = kustomize(documented)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Addresses" in done.stderr


def test_without_a_folder_nobody_reaches_a_replica(documented, kustomize):
    objects = built(kustomize(documented.parent / "specstream" / "infra/kubernetes/replicas"))
    (heard,) = named(objects, "NetworkPolicy", "replicas-hear-the-edge")["spec"]["ingress"]
    assert heard == {"from": [{"ipBlock": {"cidr": FOR_DOCUMENTATION}}]}
    _, reached = named(objects, "NetworkPolicy", "replicas-reach-the-world")["spec"]["egress"]
    assert METADATA in reached["to"][0]["ipBlock"]["except"]


def test_a_patch_of_the_addresses_comes_too_late_and_is_refused(documented, kustomize):
    addresses = yaml.safe_load((documented / "addresses.yaml").read_text())
    (documented / "patch.yaml").write_text(yaml.safe_dump({**addresses, "edge": []}))
    with (documented / "kustomization.yaml").open("a") as file:
        file.write("patches: [{path: patch.yaml}]\n")
    done = kustomize(documented)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no resource matches strategic merge patch" in done.stderr
