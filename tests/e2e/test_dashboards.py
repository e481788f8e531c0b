"""Every panel of every dashboard, asked of a real Prometheus that reads a platform under load."""

from pathlib import Path

import httpx

from infra.grafana.dashboards import DASHBOARDS
from tests.e2e.test_autoscaling import MACHINE_TYPES, QUICK, WORK_S, load
from tests.support.live_platform import LivePlatform
from tests.support.polling import eventually
from tests.support.prometheus import Prometheus, a_prometheus, all_are_up, asked


async def test_each_panel_has_an_answer_and_data_where_it_should(prometheus: Prometheus, tmp_path: Path):
    types = tmp_path / "types.yaml"
    types.write_text(MACHINE_TYPES)
    platform = LivePlatform(
        tmp_path / "home",
        SPECSTREAM_METRICS="prometheus",
        SPECSTREAM_USAGE_SECONDS="1",
        SPECSTREAM_MACHINE_TYPES=str(types),
    )
    try:
        await platform.start_and_wait()
        by_cpu = {
            "maxReplicas": 2,
            "metrics": [{"metric": "cpu", "summary": "average", "value": 20}],
            "behavior": QUICK,
        }
        deployment_id = await platform.deploy(load("burns", by_cpu))
        async with a_prometheus(prometheus, platform.home, tmp_path) as client:
            await eventually(lambda: all_are_up(client))
            await under_load(platform, client, deployment_id)
    finally:
        await platform.close()


async def under_load(platform: LivePlatform, client: httpx.AsyncClient, deployment_id: str) -> None:
    async with platform.calling(deployment_id, f"/burn?seconds={WORK_S}"):
        for dashboard in DASHBOARDS:
            for panel in dashboard.panels:
                for query in panel.queries:
                    expr = query.expr.replace("$__rate_interval", "30s")
                    expr = expr.replace("$deployment_id", deployment_id)

                    async def has_data(expr: str = expr) -> bool:
                        return bool(await asked(client, expr))

                    if panel.is_quiet:
                        await has_data()
                    else:
                        await eventually(has_data, because=f"no data: {expr}")
            if dashboard.chooses is not None:
                label, series = dashboard.chooses

                async def is_offered(label: str = label, series: str = series) -> bool:
                    return deployment_id in {one["metric"][label] for one in await asked(client, series)}

                await eventually(is_offered, because=f"no {label} to choose: {series}")
