"""What was refused is tried for whoever waits, by a server that answers what the test tells it to."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes import trials
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.trials import FORGOTTEN_AFTER_S, IN_VAIN, Trials
from libs.common.errors import DeploymentUnavailable
from tests.support.api_server import serving, status, write_kubeconfig
from tests.support.polling import eventually, let_time_pass

OF_A_MOMENT_S = 0.01


class Lab:
    """trials: by a clock that stands still but for `now`. tried: the name of each pod that was tried.
    refused: the names that the server refuses. told: of each time, who was."""

    def __init__(self):
        self.now = 0.0
        self.tried = []
        self.refused = set()
        self.told = []
        self.trials = None

    async def answer(self, request):
        name = (await request.json())["metadata"]["name"]
        assert request.query["dryRun"] == "All"
        self.tried.append(name)
        return (
            status(403, f'pods "{name}" is forbidden: exceeded quota: few')
            if name in self.refused
            else status(201)
        )

    def note(self, deployment_id, name, words):
        self.trials.note(deployment_id, "pods", {"metadata": {"name": name}}, DeploymentUnavailable(words))

    async def tries(self, number):
        """So many more are over."""
        before = len(self.tried)
        await eventually(lambda: len(self.tried) > before + number)


@pytest.fixture
async def lab(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "EVERY_S", OF_A_MOMENT_S)
    async with running(tmp_path) as made:
        yield made


@asynccontextmanager
async def running(tmp_path):
    made = Lab()
    async with serving() as server:
        server.answers = [made.answer]
        config = write_kubeconfig(tmp_path / "config", server.url, {"token": "t"})
        client = Client(config, "replicas", clock=utc_now, ticks=monotonic)
        made.trials = Trials(
            client, ticks=lambda: made.now, on_admitted=lambda ids: made.told.append(set(ids))
        )
        task = asyncio.create_task(made.trials.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()


async def test_one_is_tried_for_all_of_a_cause_and_each_cause_has_its_turn(lab):
    lab.refused = {"r-1", "r-4"}
    for number in (1, 2, 3):
        lab.note(f"d{number}", f"r-{number}", f"create pods r-{number}: exceeded quota: few, used: {number}")
    lab.note("d4", "r-4", "create pods r-4: no account")

    async def have_both_been_tried():
        lab.now += OF_A_MOMENT_S
        return lab.tried.count("r-1") >= 2 and lab.tried.count("r-4") >= 2

    await eventually(have_both_been_tried)
    assert set(lab.tried) == {"r-1", "r-4"}
    assert lab.told == []
    lab.refused = {"r-4"}
    await eventually(lambda: lab.told)
    assert lab.told == [{"d1", "d2", "d3"}]


async def test_who_was_refused_a_moment_ago_is_told_the_next_time(lab):
    lab.note("d1", "r-1", "exceeded quota: few")
    await lab.tries(2)
    assert lab.told == []
    lab.now += OF_A_MOMENT_S
    await eventually(lambda: lab.told)
    assert lab.told == [{"d1"}]


async def test_what_is_refused_again_after_a_trial_is_tried_less_and_less_often(lab):
    lab.note("d1", "r-1", "denied the request")
    lab.now += OF_A_MOMENT_S
    await eventually(lambda: lab.told)
    for times in (1, 2, 3):
        lab.note("d1", "r-1", "denied the request")
        lab.now += IN_VAIN.pause_s(times) - 0.5
        tried = len(lab.tried)
        await let_time_pass(10 * OF_A_MOMENT_S)
        assert len(lab.tried) == tried
        lab.now += 0.5
        await eventually(lambda times=times: len(lab.told) > times)


async def test_who_does_not_ask_again_is_forgotten(lab):
    lab.refused = {"r-1"}
    lab.note("d1", "r-1", "exceeded quota: few")
    await lab.tries(1)
    lab.now += FORGOTTEN_AFTER_S
    lab.note("d2", "r-2", "no account")
    lab.now += 1
    await eventually(lambda: lab.told)
    assert lab.told == [{"d2"}]
    lab.refused = set()
    lab.tried.clear()
    await let_time_pass(20 * OF_A_MOMENT_S)
    assert lab.tried == []
