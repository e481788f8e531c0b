"""Each kind of fact has one writer: no other service builds one."""

import ast

from libs.common.events.catalogue import CATALOGUE
from tests.architecture.sources import ROOT, found_in, parsed, python_files

WRITERS = {
    "name": "api",
    "project": "api",
    "deployment": "api",
    "rollout": "reconciler",
    "replica": "health",
    "traffic": "router",
}
"""By hand, so that a change of it is meant."""


def foreign_facts(path):
    service = path.relative_to(ROOT / "services").parts[0]
    return {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in CATALOGUE
        and CATALOGUE[node.func.id].writer != service
    }


def test_a_fact_names_its_aggregate_and_its_writer():
    writers = {name: fact.writer for name, fact in CATALOGUE.items()}
    assert writers == {name: WRITERS.get(fact.aggregate) for name, fact in CATALOGUE.items()}


def test_a_service_builds_only_its_own_facts():
    assert found_in(python_files("services"), foreign_facts) == {}
