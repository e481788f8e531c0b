"""The catalogue of instruments has exactly those that the code makes, and their attributes are closed."""

import ast
import re

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest

from libs.common.spec.model import ExecAction, HealthCheck
from libs.common.telemetry.busiest import Busiest
from libs.common.telemetry.instruments import INSTRUMENTS, OTHER, Kind, prometheus_name
from libs.common.telemetry.metrics import closed
from libs.supervisor.settings import ROOT
from services.autoscaler.appending import Stored
from services.health.probing import CheckKind, Failure, ProberError, Success
from services.health.sampling import Dropped
from services.router.xds.types import ResourceType
from tests.architecture.sources import parsed, python_files

MAKERS = {kind.value: kind for kind in Kind}
PROBES = INSTRUMENTS["specstream.health.probes"]


def made() -> list[tuple[str, Kind, str, str]]:
    """Every instrument that the code makes, as it is written there."""
    found = []
    for path in python_files("libs", "services"):
        if path.is_relative_to(ROOT / "libs/common/telemetry"):
            continue
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            words = {keyword.arg: keyword.value for keyword in node.keywords}
            if called not in MAKERS or not {"unit", "description"} <= words.keys():
                continue
            literals = [node.args[0], words["unit"], words["description"]]
            name, unit, description = (ast.literal_eval(each) for each in literals)
            found.append((name, MAKERS[called], unit, description))
    return found


def test_the_code_makes_what_is_in_the_catalogue_and_nothing_else():
    written = {(each.name, each.kind, each.unit, each.description) for each in INSTRUMENTS.values()}
    assert set(made()) == written


def test_what_the_attributes_can_be_is_what_the_code_has():
    assert PROBES.attributes["check"] == tuple(CheckKind)
    outcomes = (Success, Failure, ProberError)
    assert PROBES.attributes["outcome"] == tuple(each.__name__.lower() for each in outcomes)
    assert INSTRUMENTS["specstream.autoscaler.decisions"].attributes["stored"] == tuple(Stored)
    assert INSTRUMENTS["specstream.samples.dropped"].attributes["reason"] == tuple(Dropped)
    types = {each.rpartition(".")[2] for each in ResourceType}
    assert set(INSTRUMENTS["specstream.router.xds.rejections"].attributes["type"]) == types


def test_a_value_of_no_closed_set_is_other():
    assert closed(PROBES, {"check": "readiness", "outcome": "never heard of"}) == {
        "check": "readiness",
        "outcome": OTHER,
    }


@pytest.mark.parametrize("given", [{}, {"check": "port"}, {"check": "port", "outcome": "success", "id": "a"}])
def test_other_attributes_are_refused(given):
    with pytest.raises(ValueError, match="has the attributes check, outcome"):
        closed(PROBES, given)


def test_prometheus_calls_them_as_the_reference_says():
    registry = CollectorRegistry()
    provider = MeterProvider(
        metric_readers=[PrometheusMetricReader(scope_info_enabled=False, registry=registry)],
        shutdown_on_exit=False,
    )
    meter = provider.get_meter("test")
    for each in INSTRUMENTS.values():
        attributes = dict.fromkeys(each.attributes, OTHER)
        match each.kind:
            case Kind.COUNTER:
                meter.create_counter(each.name, unit=each.unit).add(1, attributes)
            case Kind.GAUGE:
                meter.create_gauge(each.name, unit=each.unit).set(1, attributes)
            case Kind.HISTOGRAM:
                meter.create_histogram(each.name, unit=each.unit).record(1, attributes)
    shown = generate_latest(registry).decode()
    provider.shutdown()
    for each in INSTRUMENTS.values():
        series = f"{prometheus_name(each)}{'_bucket' if each.kind is Kind.HISTOGRAM else ''}"
        assert re.search(rf"^{series}(\{{| )", shown, re.MULTILINE), series


def test_alerts_ask_only_for_what_there_is():
    groups = yaml.safe_load((ROOT / "infra/prometheus/alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    names = {prometheus_name(each): each for each in INSTRUMENTS.values()}
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        for asked in re.findall(r"specstream_\w+", rule["expr"]):
            base = re.sub(r"_(bucket|sum|count)$", "", asked)
            assert base in names, asked
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', rule["expr"]):
            allowed = {v for each in INSTRUMENTS.values() for v in each.attributes.get(label, ())}
            assert set(value.split("|")) <= allowed | {"specstream"}, (label, value)


class Counted:
    """What a counter would show, by name."""

    def __init__(self, most: int) -> None:
        self.busiest = Busiest(most)
        self.series: dict[str, float] = {}

    def add(self, **amounts: float) -> dict[str, float]:
        before = dict(self.series)
        for name, amount in self.busiest.shared_out(amounts):
            self.series[name] = self.series.get(name, 0) + amount
        assert all(self.series[name] >= value for name, value in before.items())
        return self.series


def test_of_those_that_come_together_the_busiest_have_a_name():
    assert Counted(2).add(a=1, b=5, c=3) == {"b": 5, "c": 3, OTHER: 1}


def test_who_has_a_name_keeps_it_and_nothing_falls():
    counted = Counted(2)
    counted.add(a=1, b=2)
    assert counted.add(c=100, a=1) == {"a": 2, "b": 2, OTHER: 100}
    assert counted.add(c=100, d=1, b=1) == {"a": 2, "b": 3, OTHER: 201}


def test_with_room_a_late_one_begins_where_it_comes():
    counted = Counted(2)
    counted.add(a=1)
    assert counted.add(b=1, c=2) == {"a": 1, "c": 2, OTHER: 1}


def test_without_any_room_all_are_other():
    assert Counted(0).add(a=1, b=2) == {OTHER: 3}


def test_of_a_gauge_the_longest_stands_for_the_others():
    shared = dict(Busiest(1).shared_out({"a": 5, "b": 3, "c": 4}, together=max))
    assert shared == {"a": 5, OTHER: 4}
    assert dict(Busiest(0).shared_out({"a": 0}, together=max)) == {OTHER: 0}
    assert dict(Busiest(1).shared_out({})) == {}


def test_a_command_is_a_form_of_its_own():
    check = HealthCheck(exec=ExecAction(command=("true",)))
    assert check.exec is not None
    assert "exec" in INSTRUMENTS["specstream.health.probe.duration"].attributes["form"]
