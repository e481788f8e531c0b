"""Metrics of a whole platform, as a Prometheus reads them."""

import asyncio
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from libs.common.services import SERVICES
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually
from tests.support.processes import is_alive
from tests.support.prometheus import ALERTS, Prometheus, a_prometheus, all_are_up, asked
from tests.support.scraped import answer_of, read, targets


@pytest.fixture(scope="module")
async def _scraped_platform_of_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LivePlatform]:
    platform = LivePlatform(tmp_path_factory.mktemp("scraped") / "home", SPECSTREAM_METRICS="prometheus")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.fixture
async def scraped_platform(_scraped_platform_of_all: LivePlatform) -> AsyncIterator[LivePlatform]:
    """One for all of these tests; each brings deployments of its own, which are gone after it."""
    platform = _scraped_platform_of_all
    yield platform
    listed = await platform.get("/deployments", limit=120)
    await platform.delete_all()
    await asyncio.gather(*(platform.gone(item["id"]) for item in listed["items"]))


async def test_each_service_shows_its_metrics_to_whoever_has_the_token(scraped_platform: LivePlatform):
    await scraped_platform.deploy(hello("measured"))
    assert set(targets(scraped_platform)) == set(SERVICES)
    for service in SERVICES:
        await read(scraped_platform, service)  # empty where nothing was counted yet
        assert (await answer_of(scraped_platform, service)).status_code == 401
    shown = await read(scraped_platform, "health")
    assert 'specstream_health_probes_total{check="readiness",outcome="success"}' in shown
    assert 'specstream_health_probe_duration_seconds_bucket{form="http",le="0.1"}' in shown
    shown = await read(scraped_platform, "api")
    assert 'specstream_readmodels_transaction_duration_seconds_bucket{le="0.1"}' in shown
    for service in ("api", "health", "reconciler"):
        stored = f'specstream_log_append_duration_seconds_count{{outcome="stored",service="{service}"}}'
        assert stored in await read(scraped_platform, service)


def test_prometheus_takes_the_alert_rules(prometheus: Prometheus):
    checked = subprocess.run(
        [prometheus.tool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_for_what_it_is_for_and_for_nothing_else(prometheus: Prometheus):
    cases = ALERTS.with_name("alerts.test.yaml")
    tested = subprocess.run(
        [prometheus.tool, "test", "rules", str(cases)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    fired = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired >= {
        "SpecstreamAtCeiling",
        "SpecstreamMeasurementsUnknown",
        "SpecstreamReplicasMissing",
        "SpecstreamFlapping",
        "SpecstreamNobodyLeads",
        "SpecstreamAppendsFailing",
    }


async def test_a_real_prometheus_reads_all_services_and_has_nothing_to_alert(
    prometheus: Prometheus, scraped_platform: LivePlatform, tmp_path: Path
):
    await scraped_platform.deploy(hello("watched"))
    async with a_prometheus(prometheus, scraped_platform.home, tmp_path) as client:
        await eventually(lambda: all_are_up(client))
        # A service that answers one scrape late has no value until the next one.
        stored = 'specstream_log_append_duration_seconds_count{outcome="stored"}'
        await eventually(lambda: asked(client, stored))
        await eventually(lambda: asked(client, 'specstream_health_probes_total{outcome="success"}'))

        async def each_that_leads_says_so() -> bool:
            held = await asked(client, "specstream_lease_held")
            told = {one["metric"]["service"]: one["value"][1] for one in held}
            return told == {"reconciler": "1", "health": "1", "autoscaler": "1"}

        await eventually(each_that_leads_says_so)
        states: dict[str, str] = {}

        async def nothing_is_to_be_told() -> bool:
            (group,) = (await client.get("/rules")).json()["data"]["groups"]
            states.update({rule["name"]: rule["state"] for rule in group["rules"]})
            assert "firing" not in states.values(), states
            for rule in group["rules"]:
                await asked(client, rule["query"])
            return set(states.values()) <= {"inactive", "unknown"}

        # One that is pending waits to see whether what it is for lasts.
        await eventually(nothing_is_to_be_told, because=lambda: f"an alert is pending: {states}")


async def test_what_the_alerts_ask_for_is_there(
    prometheus: Prometheus, scraped_platform: LivePlatform, tmp_path: Path
):
    spec = hello("scaled")
    spec["resources"]["autoscaling"] = {
        "maxReplicas": 2,
        "metrics": [{"metric": "cpu", "summary": "average", "value": 80}],
    }
    await scraped_platform.deploy(spec)
    seldom = {"specstream_router_xds_rejections_total", "specstream_bus_errors_total"}
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    series = {name for rule in rules for name in re.findall(r"specstream_\w+", rule["expr"])}
    async with a_prometheus(prometheus, scraped_platform.home, tmp_path) as client:
        await eventually(lambda: all_are_up(client))
        for name in sorted(series - seldom):

            async def is_there(name: str = name) -> bool:
                return bool(await asked(client, name))

            await eventually(is_there)


async def test_what_fails_is_counted_for_its_deployment(scraped_platform: LivePlatform):
    """It comes last: what has failed stays counted, and nothing is to alert in the tests before it."""
    never = {"readiness": {"exec": {"command": ["false"]}, "periodSeconds": 1, "timeoutSeconds": 30}}
    deployment_id = await scraped_platform.submit(hello("failing", checks=never))

    async def is_counted() -> bool:
        shown = await read(scraped_platform, "health")
        return f'specstream_health_failed_probes_total{{deployment_id="{deployment_id}"}}' in shown

    await eventually(is_counted)


async def test_nobody_else_can_have_the_port_of_a_service_that_is_away(scraped_platform: LivePlatform):
    """Whoever listened there would be sent the token. The same after the supervisor was killed."""
    platform = scraped_platform
    for _ in range(2):
        shown = targets(platform)
        before = {name: platform.pid(name) for name in ("router", "api")}
        platform.send("supervisor", signal.SIGSTOP)
        try:
            for name, pid in before.items():
                assert pid is not None
                platform.send(name)
                await eventually(lambda pid=pid: not is_alive(pid))
                host, port = shown[name].split(":")
                with pytest.raises(OSError, match="in use"):
                    socket.create_server((host, int(port)))
        finally:
            platform.send("supervisor", signal.SIGCONT)
        for name, pid in before.items():
            await eventually(lambda name=name, pid=pid: platform.pid(name) not in (None, pid))
            await read(platform, name)
        assert targets(platform) == shown
        await platform.healthy()
        platform.send("supervisor", signal.SIGKILL)
        await platform.start_and_wait()
