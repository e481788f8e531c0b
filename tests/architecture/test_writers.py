"""Each kind of fact has one writer: no other service builds one."""

import ast

from libs.common.events.catalogue import CATALOGUE
from libs.common.state.aggregates import AGGREGATES, BY_NAME
from tests.architecture.sources import ROOT, found_in, parsed, python_files

WRITERS = {
    "name": "api",
    "project": "api",
    "deployment": "api",
    "rollout": "reconciler",
    "replica": "health",
    "traffic": "router",
    "router": "router",
    "scaling": "autoscaler",
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
        and BY_NAME[CATALOGUE[node.func.id].aggregate].writer != service
    }


def test_a_fact_names_its_aggregate_and_its_writer():
    assert {kind.name: kind.writer for kind in AGGREGATES} == WRITERS
    assert {fact.aggregate for fact in CATALOGUE.values()} == WRITERS.keys()


def test_a_service_builds_only_its_own_facts():
    assert found_in(python_files("services"), foreign_facts) == {}
