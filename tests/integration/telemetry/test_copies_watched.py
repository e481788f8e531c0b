"""What a real Prometheus makes of two copies of a service, of which one leads."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge

from libs.common.services import copy_name
from libs.common.telemetry import scraping
from tests.support.polling import eventually
from tests.support.prometheus import ALERTS, Prometheus, a_prometheus, asked

SERVICE = "reconciler"


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[list[Gauge]]:
    """Whether each copy leads, as it says itself."""
    gauges = []
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            registry = CollectorRegistry()
            gauges.append(Gauge("specstream_lease_held", "Whether it leads", ["service"], registry=registry))
            process = copy_name(SERVICE, number)
            served = scraping.served(SERVICE, tmp_path / "run", registry, process=process)
            await stack.enter_async_context(served)
        yield gauges


async def test_somebody_leads_while_one_copy_does(
    held: list[Gauge], prometheus: Prometheus, tmp_path: Path
) -> None:
    async def alerted(*leads: int) -> list[dict[str, str]]:
        """The labels of each alert when this was read of both. Asked for with one question: a copy that is
        not read in time counts as one that is away, the moment after it was read, too."""
        for gauge, one in zip(held, leads, strict=True):
            gauge.labels(SERVICE).set(one)
        alerts: list[dict[str, str]] = []

        async def is_read() -> bool:
            try:
                found = await asked(client, f"specstream_lease_held or ({nobody_leads})")
            except (httpx.TransportError, ValueError):  # it begins
                return False
            read = [one for one in found if "process" in one["metric"]]
            alerts[:] = [one["metric"] for one in found if one not in read]
            return sorted(int(one["value"][1]) for one in read) == sorted(leads)

        await eventually(is_read)
        return alerts

    rules = {rule["alert"]: rule["expr"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
    nobody_leads = rules["SpecstreamNobodyLeads"]
    async with a_prometheus(prometheus, tmp_path, tmp_path) as client:
        assert await alerted(0, 1) == []
        assert await alerted(0, 0) == [{"service": SERVICE}]
