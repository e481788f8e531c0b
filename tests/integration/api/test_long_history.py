"""Asking for the past of a deployment with many specs, or rolling it back, costs what it costs with one."""

from nats.aio.client import Client

from libs.common.ids import is_id
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Loaded
from tests.support.many_specs import register_many
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api

SPECS = 1000


async def test_it_costs_as_much_as_with_one_spec(durable_api: RunningApi, log_client: Client):
    """Counted in what is asked of the broker and received from it, the events that follow it apart."""
    young, old = await durable_api.submit(a_config("young")), await durable_api.submit(a_config("old"))
    await durable_api.submit(a_config("young", replicas=2))
    specs = await register_many(durable_api.api.log, old, SPECS, name="old")
    middle = specs[SPECS // 2]
    await durable_api.get("/v1/deployments")  # all of it is in the read models

    async def cost(method: str, path: str, **how: object) -> tuple[int, int]:
        before = dict(log_client.stats)
        answer = await durable_api.http.request(method, path, **how)
        assert answer.status_code == 200, answer.text
        after = log_client.stats
        return after["out_msgs"] - before["out_msgs"], (after["in_bytes"] - before["in_bytes"]) // 1024

    async def least(method: str, path: str, *times: dict[str, object]) -> tuple[int, int]:
        """Of some times: who waits long for an answer asks again, and who follows the events speaks too."""
        return min([await cost(method, path, **how) for how in times])

    end = await durable_api.api.log.last_sequence()
    second, first = [
        one["id"] for one in (await durable_api.get(f"/v1/deployments/{young}/history"))["items"]
    ]
    for of_young, of_old in (({"at": end}, {"at": end}), ({"at": 3}, {"at": middle.sequence})):
        small = await least("GET", f"/v1/deployments/{young}", *[{"params": of_young}] * 3)
        large = await least("GET", f"/v1/deployments/{old}", *[{"params": of_old}] * 3)
        # Two more for the first time that the spec was applied and healthy: the young one was never.
        assert large[0] <= small[0] + 2
        assert large[1] < 48, large
    # Each changes something, for the one before it was to another spec.
    to_young = [{"json": {"specId": one}} for one in (first, second, first)]
    to_old = [{"json": {"specId": one.spec_id}} for one in (specs[2], specs[1], specs[0])]
    small = await least("POST", f"/v1/deployments/{young}/rollback", *to_young)
    large = await least("POST", f"/v1/deployments/{old}/rollback", *to_old)
    assert large[0] <= small[0]
    assert large[1] < 48, large
    then = await durable_api.get(f"/v1/deployments/{old}", at=middle.sequence)
    assert then["latestSpec"]["id"] == middle.spec_id
    now = await durable_api.get(f"/v1/deployments/{old}")
    assert now["latestSpec"]["data"]["resources"]["replicas"] == 1


async def test_a_rollback_to_a_spec_that_reads_do_not_show_yet(api: RunningApi):
    """Who follows the events may know a spec before the read models do."""
    deployment_id = await api.submit(a_config())
    specs = await register_many(api.api.log, deployment_id, 300, name="demo")
    path = f"/v1/deployments/{deployment_id}/rollback"
    answer = await api.http.post(path, json={"specId": specs[-2].spec_id})
    assert answer.status_code == 200, answer.text
    assert is_id(answer.json()["specId"])


class PoisonedReads(PoisonedLog):
    """What decisions rest on can be read; what the read models are made of cannot."""

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        return await self._log.load(*filters, until=until)


async def test_a_rollback_while_the_specs_are_not_all_known_is_to_be_tried_again(tmp_path):
    log = PoisonedReads(MemoryLog())
    async with running_api(tmp_path, log) as api:
        deployment_id = await api.submit(a_config())
        log.poisoned = {deployment_id}
        (unknown,) = await register_many(log, deployment_id, 1, name="demo")
        await eventually(lambda: deployment_id in api.api.projector._aside)
        path = f"/v1/deployments/{deployment_id}/rollback"
        status, _ = await api.status("POST", path, json={"specId": unknown.spec_id})
        assert status == 503
        log.poisoned = set()
        await eventually(lambda: deployment_id not in api.api.projector._aside)
        assert (await api.http.post(path, json={"specId": unknown.spec_id})).status_code == 200
