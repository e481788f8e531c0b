"""Each kind of fact has one writer: no other service builds one."""

import ast

import pytest

from libs.common.events.catalogue import CATALOGUE
from tests.architecture.sources import ROOT, name_of, parsed, python_files

WRITERS = {
    "name": "api",
    "project": "api",
    "deployment": "api",
    "rollout": "reconciler",
    "replica": "health",
    "traffic": "router",
}
"""By hand, so that a change of it is meant."""


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_a_fact_names_its_aggregate_and_its_writer(fact):
    assert fact.writer == WRITERS[fact.aggregate]


@pytest.mark.parametrize("path", python_files("services"), ids=name_of)
def test_a_service_builds_only_its_own_facts(path):
    service = path.relative_to(ROOT / "services").parts[0]
    foreign = {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in CATALOGUE
        and CATALOGUE[node.func.id].writer != service
    }
    assert not foreign
