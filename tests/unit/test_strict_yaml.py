"""YAML says what it says in other programs of today, or is text that no field of a number takes."""

import math

import pytest

from libs.common import strict_yaml


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0", 0),
        ("80", 80),
        ("-1", -1),
        ("+3", 3),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        (".inf", math.inf),
        ("true", True),
        ("", None),
        ("80:80", "80:80"),
        ("1:30.5", "1:30.5"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("1_0.5", "1_0.5"),
        ("0b11", "0b11"),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("e3", "e3"),
    ],
)
def test_what_is_a_number(written, meant):
    found, _ = strict_yaml.read(f"value: {written}", "spec.yaml")
    assert found == {"value": meant}
    assert type(found["value"]) is type(meant)
