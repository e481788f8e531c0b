"""The dashboards that are committed are those that the code describes, and ask only for what there is."""

import json
import re

import pytest

from infra.grafana.dashboards import DASHBOARDS
from infra.grafana.generate import FOLDER, path_of, render
from infra.grafana.panels import Dashboard
from libs.common.telemetry.instruments import INSTRUMENTS, prometheus_name


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_the_file_is_current(dashboard: Dashboard) -> None:
    assert path_of(dashboard).read_text() == render(dashboard), "run make docs"


def test_there_are_no_other_files() -> None:
    assert set(FOLDER.glob("*.json")) == set(map(path_of, DASHBOARDS))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_panels_ask_only_for_what_there_is(dashboard: Dashboard) -> None:
    names = {prometheus_name(each): each for each in INSTRUMENTS.values()}
    for panel in dashboard.panels:
        for query in panel.queries:
            for asked in re.findall(r"specstream_\w+", query.expr):
                assert re.sub(r"_(bucket|sum|count)$", "", asked) in names, asked
            for label, value in re.findall(r'(\w+)="([^"$]*)"', query.expr):
                allowed = {v for each in names.values() for v in each.attributes.get(label, ())}
                assert value in allowed | {"specstream"}, (label, value)
            shown = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
            kept = {each for by in re.findall(r"by \(([^)]*)\)", query.expr) for each in by.split(", ")}
            assert shown <= kept, query


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_grafana_is_told_which_prometheus_to_ask(dashboard: Dashboard) -> None:
    made = json.loads(path_of(dashboard).read_text())
    assert made["uid"] == f"specstream-{dashboard.name}"
    assert made["templating"]["list"][0]["name"] == "datasource"
    assert len(made["panels"]) == len(dashboard.panels)
    for panel in made["panels"]:
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "$datasource"}
