"""An operator's list of machine types: what it may say, and what is said of one that cannot be used."""

import os
from textwrap import dedent

import pytest

from libs.common.machine_types.reading import MOST_BYTES, BadMachineTypes, bundled, machine_types

LEAST = "- {name: small, cpus: 0.25, memoryGib: 0.5}\n"

WHOLE = """
    - name: h100
      cpus: 20
      memoryGib: 250
      diskGib: 100
      requests: {cpus: 10.5, memoryGib: 200}
      gpus: 1
      gpuResource: nvidia.com/mig-3g.40gb
      nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3, pool: ""}
      tolerations:
        - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
        - {key: spot, value: "yes", effect: NoExecute, tolerationSeconds: 30}
        - {operator: Exists}
      priorityClass: serving
      runtimeClass: nvidia
      shmGib: 16
"""


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "machine-types.yaml"

    def read(text: str):
        path.write_text(dedent(text))
        return machine_types(path)

    return read


def refused(read, text: str) -> str:
    with pytest.raises(BadMachineTypes) as error:
        read(text)
    return str(error.value)


def test_without_a_file_there_are_the_bundled_ones_in_their_order():
    assert machine_types(None) is bundled()
    assert list(bundled())[:2] == ["C2", "C3"]
    assert (bundled()["H100x8"].gpus, bundled()["H100x8"].memory_gib) == (8, 1638)


def test_a_file_takes_the_place_of_the_bundled_ones(read):
    found = read(LEAST)
    assert list(found) == ["small"]
    assert (found["small"].cpus, found["small"].memory_gib, found["small"].gpus) == (0.25, 0.5, 0)


def test_every_field_is_read(read):
    found = read(WHOLE)["h100"].to_wire()
    assert found["requests"] == {"cpus": 10.5, "memoryGib": 200.0}
    assert found["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "pool": ""}
    assert [toleration["operator"] for toleration in found["tolerations"]] == ["Exists", "Equal", "Exists"]
    assert {name: found[name] for name in ("gpuResource", "priorityClass", "runtimeClass", "shmGib")} == {
        "gpuResource": "nvidia.com/mig-3g.40gb",
        "priorityClass": "serving",
        "runtimeClass": "nvidia",
        "shmGib": 16.0,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cpus: 0", "line 4: cpus: must be at least 0.001"),
        ("cpus: many", "line 4: cpus: must be a number"),
        ("cpus: .nan", "line 4: cpus: must be"),
        ("memory: 4", "line 4: memory: is not a known field"),
        ("gpus: 1.5", "line 4: gpus: must be a whole number"),
        ("gpus: -1", "line 4: gpus: must be at least 0"),
        ("gpuResource: a/b/c", "line 4: gpuResource: must be a key of Kubernetes"),
        ("nodeSelector: {pool: [a]}", "line 4: nodeSelector.pool: must be a string"),
        ("nodeSelector: {pool: yes}", "line 4: nodeSelector.pool: must be a string"),
        ("nodeSelector: {'not a key': x}", "must be a key of Kubernetes"),
        ("requests: {cpus: 3}", "line 4: requests.cpus: is more than the machine type has (at most 2, not 3"),
        ("requests: {gpus: 1}", "line 4: requests.gpus: is not a known field"),
        ("shmGib: 9", "line 4: shmGib: is more than its memory (at most 8, not 9"),
        ("tolerations: [{value: x}]", "line 4: tolerations.0.key: is required"),
        (
            "tolerations: [{key: a, operator: In}]",
            "operator: is not one of the allowed values (Equal, Exists",
        ),
        ("tolerations: [{operator: Exists, value: x}]", "value: has no meaning with `Exists`"),
        ("tolerations: [{key: a, tolerationSeconds: 3}]", "needs the effect NoExecute"),
        ("runtimeClass: Nvidia", "line 4: runtimeClass: must be the name of a Kubernetes object"),
        ("surge: 1", "line 4: surge: must be true or false"),
    ],
)
def test_a_mistake_is_told_with_its_line_its_field_and_what_is_allowed(read, line, said):
    fields = {"cpus": "cpus: 2", "memoryGib": "memoryGib: 8"}
    fields.pop(line.split(":")[0], None)
    text = "\n".join(["# types", "- name: small", "  memoryGib: 8" if "cpus" in line[:4] else "  cpus: 2"])
    rest = [f"  {field}" for field in fields.values() if f"  {field}" not in text]
    message = refused(read, "\n".join([text, f"  {line}", *rest, ""]))
    assert message.startswith("SPECSTREAM_MACHINE_TYPES: ")
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: must be a list"),
        ("{name: small}", "must be a list"),
        ("[]", "has 0 machine types"),
        ("- small", "line 1: must be an object"),
        ("- {cpus: 1, memoryGib: 1}", "line 1: name: is required"),
        ("- {name: two words, cpus: 1, memoryGib: 1}", "line 1: name: must be letters, digits"),
        (LEAST + LEAST, "line 2: name: stands twice (each name once, not 'small')"),
        ("- {name: a, name: b}", "the key 'name' stands twice"),
        ("- [", "is not YAML"),
        ("- {name: small, cpus: 2026-11-22, memoryGib: 1}", "line 1: cpus: must be a number"),
        ("- {name: small, cpus: 2026-02-30, memoryGib: 1}", "is not YAML"),
    ],
)
def test_what_is_no_list_of_machine_types_is_refused(read, text, said):
    assert said in refused(read, text)


def test_all_mistakes_are_told_at_once(read):
    message = refused(read, "- {name: a, cpus: 0, memoryGib: 0}\n- {name: b, cpus: 1}\n")
    assert [line.split(":")[:2] for line in message.splitlines()[1:]] == [
        ["  line 1", " cpus"],
        ["  line 1", " memoryGib"],
        ["  line 2", " memoryGib"],
    ]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        BadMachineTypes, match=r"SPECSTREAM_MACHINE_TYPES: cannot read .*absent.yaml: No such"
    ):
        machine_types(tmp_path / "absent.yaml")


def test_what_nobody_may_ever_write_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadMachineTypes, match="pipe cannot be used: it is no ordinary file"):
        machine_types(tmp_path / "pipe")


def test_too_large_a_file_is_not_read(tmp_path):
    path = tmp_path / "large.yaml"
    path.touch()
    os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(BadMachineTypes, match=f"it has {MOST_BYTES + 1} bytes .at most {MOST_BYTES}"):
        machine_types(path)
