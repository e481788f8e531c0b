"""Writes the dashboards as Grafana reads them, by its SDK: `make docs`. A test holds the files to it."""

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

from infra.grafana.dashboards import DASHBOARDS
from infra.grafana.panels import Dashboard, Panel

FOLDER: Final = Path(__file__).parent
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="$datasource")
"""Which Prometheus is chosen on the dashboard, so that a file fits every Grafana."""
WIDTH, HEIGHT = 12, 8


def render(dashboard: Dashboard) -> str:
    made = (
        builders.Dashboard(dashboard.title)
        .uid(f"specstream-{dashboard.name}")
        .description(dashboard.description)
        .tags(["specstream"])
        .refresh("30s")
        .time("now-1h", "now")
        .readonly()
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    if dashboard.chooses is not None:
        label, series = dashboard.chooses
        made = made.with_variable(
            builders.QueryVariable(label)
            .label(label)
            .datasource(SOURCE)
            .query(f"label_values({series}, {label})")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    for panel in dashboard.panels:
        made = made.with_panel(_panel(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _panel(panel: Panel) -> TimeSeries:
    made = (
        TimeSeries()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .height(HEIGHT)
        .span(WIDTH)
        .no_value("none" if panel.is_quiet else "no data")
        .legend(common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for number, query in enumerate(panel.queries):
        made = made.with_target(
            Dataquery()
            .expr(query.expr)
            .legend_format(query.legend)
            .ref_id(chr(ord("A") + number))
            .range()
            .datasource(SOURCE)
        )
    return made


def path_of(dashboard: Dashboard) -> Path:
    return FOLDER / f"{dashboard.name}.json"


def main() -> None:
    for dashboard in DASHBOARDS:
        path_of(dashboard).write_text(render(dashboard))


if __name__ == "__main__":
    main()
