"""The JSON schema that OpenAPI shows says the same as the parser."""

import re

import jsonschema_rs
import pytest
from hypothesis import given

from libs.common.spec.schema import spec_json_schema
from tests.support.strategies import sent_specs


def test_fields_are_those_of_the_reference():
    parts = spec_json_schema()["$defs"]
    assert set(parts["SpecV1"]["properties"]) == {
        *("apiVersion", "name", "image", "enabled", "containerRegistry", "command", "env", "region"),
        *("basicAuthKey", "resources", "integrations", "healthChecks", "healthchecks"),
    }
    assert set(parts["Resources"]["properties"]) == {
        "replicas",
        "ports",
        "machineType",
        "autoscaling",
        "surge",
    }
    assert set(parts["Check"]["properties"]) == {
        *("path", "port", "host", "headers", "exec"),
        *("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold"),
    }


def test_no_field_shows_null_and_every_object_is_closed():
    schema = spec_json_schema("#/components/schemas/{model}")
    text = repr(schema)
    assert "'default': None" not in text
    assert "'null'" not in text
    assert "#/$defs/" not in text
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())


@pytest.mark.parametrize("part", sorted(spec_json_schema()["$defs"]))
def test_patterns_can_be_read_by_other_programs(part):
    for field in spec_json_schema()["$defs"][part]["properties"].values():
        re.compile(field.get("pattern", ""))


@given(raw=sent_specs())
def test_what_is_accepted_fits_the_schema(raw):
    jsonschema_rs.validate(spec_json_schema(), raw)
