"""What we tell newcomers about the spec is true: every field is in the reference, the examples are valid."""

from pathlib import Path

import pytest
import yaml

from libs.common.spec.schema import spec_json_schema
from tests.support.specs import parse_spec

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs" / "reference" / "spec.md").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*/*.yaml"))


@pytest.mark.parametrize(
    "part",
    [
        *("SpecV1", "SpecV0Alpha0", "Resources", "OldResources", "Check", "Checks"),
        *("Autoscaling", "Metric", "Behavior", "Direction", "Rate", "Concurrency"),
    ],
)
def test_the_reference_names_every_field(part):
    missing = [name for name in spec_json_schema()["$defs"][part]["properties"] if name not in REFERENCE]
    assert missing == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_examples_are_valid_and_need_no_path_of_this_machine(path):
    spec = parse_spec(yaml.safe_load(path.read_text()))
    assert not any(argument.startswith("/") for argument in spec.command or ())


def test_the_example_of_the_reference_page_has_all_three_checks():
    spec = parse_spec(yaml.safe_load((ROOT / "examples" / "health-checks" / "specstream.yaml").read_text()))
    assert spec.health_checks is not None
    assert all([spec.health_checks.startup, spec.health_checks.readiness, spec.health_checks.liveness])


def test_the_spec_in_the_reference_is_valid():
    parse_spec(yaml.safe_load(REFERENCE.split("```yaml\n")[1].split("```")[0]))
