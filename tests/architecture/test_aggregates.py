"""A new kind of aggregate is one entry: what goes by kinds derives from it, and nothing else lists them."""

import ast
import re
from dataclasses import fields

import pytest

from libs.common.events.catalogue import CATALOGUE
from libs.common.events.envelope import append_subject
from libs.common.log.streams import make_durables
from libs.common.services import SERVICES
from libs.common.state.aggregates import AGGREGATES, AggregateKind, followed_by, waking
from libs.common.state.view import DeploymentView, Views
from libs.supervisor.nats_config import permissions_of
from services.health.follower import TELLING
from tests.architecture.sources import ROOT, found_in, parsed, python_files

EACH = pytest.mark.parametrize("kind", AGGREGATES, ids=lambda kind: kind.name)

NAMES = {kind.name for kind in AGGREGATES}
OF_A_KIND = re.compile(rf"^(events|append)\.[^.]*\.({'|'.join(NAMES)})\.")


def kinds_by_hand(path):
    """Lines that name a kind by a string of their own instead of by its facts."""
    found = []
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Call(func=ast.Name(id="Aggregate"), args=[_, ast.Constant(), *_]):
                found.append(node.lineno)
            case ast.keyword(arg="kind", value=ast.Constant(value=value)) if value in NAMES:
                found.append(node.value.lineno)
            case ast.Compare(left=ast.Attribute(attr="kind"), comparators=[ast.Constant(value=value)]):
                found += [node.lineno] if value in NAMES else []
            case ast.MatchValue(value=ast.Constant(value=str(value))) if value in NAMES:
                found.append(node.value.lineno)
            case ast.Constant(value=str(value)) if OF_A_KIND.match(value):
                found.append(node.lineno)
    return found


def test_nothing_else_lists_kinds():
    assert found_in(python_files("libs", "services"), kinds_by_hand) == {}


def test_every_fact_is_of_a_kind_that_has_an_entry():
    assert {name: fact.aggregate for name, fact in CATALOGUE.items() if fact.aggregate not in NAMES} == {}
    assert [kind.name for kind in AGGREGATES if not kind.facts] == []


@EACH
def test_its_entry_says_which_service_alone_may_append_it(kind: AggregateKind):
    allowed = {name for name in SERVICES if append_subject(kind.filter) in permissions_of(name).publish}
    assert allowed == {kind.writer}


@EACH
def test_its_entry_says_where_it_is_folded(kind: AggregateKind):
    state = kind.start
    for fact in kind.facts:
        assert fact.aggregate == kind.name
    assert state is None or isinstance(state, kind.state)
    assert kind.view_field is None or kind.view_field in {field.name for field in fields(DeploymentView)}


@EACH
def test_its_entry_says_who_follows_it(kind: AggregateKind):
    assert kind.followers <= set(SERVICES)
    for service in SERVICES:
        assert (kind.filter in Views(followed_by(service)).filters) is (service in kind.followers)


@EACH
def test_its_entry_says_whom_it_wakes(kind: AggregateKind):
    durable = next(d for d in make_durables() if d.wanted.durable_name == "reconciler")
    assert (kind.filter in durable.wanted.filter_subjects) is (kind in waking("reconciler"))
    assert (kind.name in TELLING) is (kind in waking("health"))
    assert kind.wakes <= {"reconciler", "health"}, "nobody else is woken by events"


def test_the_architecture_has_every_kind_with_its_writer():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\w+) \|", text, re.MULTILINE)
    assert rows == [(kind.name, kind.writer) for kind in AGGREGATES]
