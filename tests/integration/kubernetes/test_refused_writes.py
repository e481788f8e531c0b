"""What a real Kubernetes refuses goes by its cause: it waits, it can never be, or the cluster is unavailable.

And it goes on when the cause is mended.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from libs.common.cluster.kubernetes import names, trials
from libs.common.cluster.kubernetes.sweeper import EVERY_S, PATIENCE_S
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable, SpecstreamError
from libs.common.ids import new_id
from tests.integration.kubernetes.test_rights import PATHS, as_account, kubeconfig_of
from tests.support.clusters import DEPLOYMENT, all_run, run_of, workload
from tests.support.polling import eventually, let_time_pass

__all__ = ["as_account", "kubeconfig_of"]

POLICIES = "/apis/admissionregistration.k8s.io/v1"
QUOTA = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
LIMIT = {
    "metadata": {"name": "little"},
    "spec": {"limits": [{"type": "Container", "max": {"cpu": "10m"}}]},
}


async def refusal(cluster, number):
    """What is raised, once something is."""
    fence = 0

    async def is_refused():
        nonlocal fence
        fence += 1
        try:
            await cluster.apply(workload(run_of(number)), fence=fence)
        except SpecstreamError as error:
            return error
        shown = (await cluster.observe())["d" * 32].replicas
        leaving = [one.replica_id for one in shown]
        await cluster.apply(workload(run_of(0), retiring=leaving, stopping=leaving), fence=fence)
        return None

    return await eventually(is_refused, every_s=0.2, because="it was never refused")


async def goes_on(world, cluster, number):
    """It is tried until it works, as the reconciler does."""

    async def is_taken():
        try:
            await cluster.apply(workload(run_of(number)), fence=10_000)
        except SpecstreamError:
            return False
        return True

    await eventually(is_taken, every_s=0.2, because="it was refused for ever")
    await world.until(all_run(number))


@asynccontextmanager
async def made(world, path, *objects):
    """For as long as the block runs. path: of their kind, of which each is one."""
    for one in objects:
        await asyncio.to_thread(world.client.create, path, one)
    try:
        yield
    finally:
        for one in objects:
            await asyncio.to_thread(world.client.delete, f"{path}/{one['metadata']['name']}")


async def test_a_quota_is_waited_for(kubernetes_world):
    world = kubernetes_world
    async with made(world, f"/api/v1/namespaces/{world.namespace}/resourcequotas", QUOTA):
        error = await refusal(world.cluster, 3)
        assert isinstance(error, DeploymentUnavailable)
        assert str(error).startswith("quota: create pods r-")
    await goes_on(world, world.cluster, 3)


async def test_an_account_of_the_replicas_that_is_missing_is_waited_for(kubernetes_world):
    world = kubernetes_world
    accounts = f"/api/v1/namespaces/{world.namespace}/serviceaccounts"
    await asyncio.to_thread(world.client.delete, f"{accounts}/{names.SERVICE_ACCOUNT}")
    error = await refusal(world.cluster, 1)
    assert isinstance(error, DeploymentUnavailable)
    assert str(error).startswith("cannot_start: create pods r-")
    assert f'serviceaccount "{names.SERVICE_ACCOUNT}" not found' in str(error)
    await asyncio.to_thread(world.client.create, accounts, {"metadata": {"name": names.SERVICE_ACCOUNT}})
    await goes_on(world, world.cluster, 1)


async def test_a_limit_range_says_what_is_too_much(kubernetes_world):
    world = kubernetes_world
    async with made(world, f"/api/v1/namespaces/{world.namespace}/limitranges", LIMIT):
        error = await refusal(world.cluster, 1)
        assert isinstance(error, CannotApply)
        assert "maximum cpu usage per Container is 10m" in str(error)
    await goes_on(world, world.cluster, 1)


@asynccontextmanager
async def a_policy_against(world, operation):
    """Nobody may do this to the pods of the namespace, for as long as the block runs."""
    metadata = {"name": f"none-{world.namespace}"}
    here = {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": ["pods"]}
    policy = {
        "metadata": metadata,
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "no pods on Sundays"}],
        },
    }
    binding = {
        "metadata": metadata,
        "spec": {
            "policyName": metadata["name"],
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": here},
        },
    }
    async with (
        made(world, f"{POLICIES}/validatingadmissionpolicies", policy),
        made(world, f"{POLICIES}/validatingadmissionpolicybindings", binding),
    ):
        yield


async def test_a_policy_says_what_it_does_not_allow(kubernetes_world):
    world = kubernetes_world
    async with a_policy_against(world, "CREATE"):
        error = await refusal(world.cluster, 1)
        assert isinstance(error, CannotApply)
        assert str(error).startswith("a policy of the cluster refuses it: ")
        assert "no pods on Sundays" in str(error)
    await goes_on(world, world.cluster, 1)


async def test_a_pod_that_a_policy_keeps_is_deleted_when_it_may_be(kubernetes_world):
    world = kubernetes_world
    await world.cluster.apply(workload(run_of(2)), fence=1)
    shown = await world.until(all_run(2))
    leaving = shown[0].replica_id
    stopped = workload(run_of(1), retiring=[leaving], stopping=[leaving])
    async with a_policy_against(world, "DELETE"):

        async def is_kept():
            answer = await asyncio.to_thread(
                world.client.ask, "DELETE", world.pod_path(leaving), dryRun="All"
            )
            return "no pods on Sundays" in answer.text

        await eventually(is_kept, every_s=0.2)
        with pytest.raises(CannotApply, match="no pods on Sundays"):
            await world.cluster.apply(stopped, fence=2)
        # Long enough for whoever deletes what is left over to have tried, too.
        await let_time_pass(2 * (PATIENCE_S + EVERY_S))
        assert leaving in {one.replica_id for one in (await world.cluster.observe())[DEPLOYMENT].replicas}
    await world.until(all_run(1))


def webhook_away(world):
    """(path, object): one for the pods of the namespace, at which nobody answers."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "away.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    configuration = {"metadata": {"name": f"away-{world.namespace}"}, "webhooks": [hook]}
    return f"{POLICIES}/validatingwebhookconfigurations", configuration


async def test_a_webhook_that_does_not_answer_is_waited_for(kubernetes_world):
    world = kubernetes_world
    async with made(world, *webhook_away(world)):
        error = await refusal(world.cluster, 1)
        assert isinstance(error, DeploymentUnavailable)
        assert 'failed calling webhook "away.example.com"' in str(error)
    await goes_on(world, world.cluster, 1)


async def test_who_was_refused_is_told_when_it_would_be_taken_and_nothing_is_made_for_that(kubernetes_world):
    world = kubernetes_world
    admitted = set()

    async def listen():
        async for changed in world.cluster.watch():
            admitted.update(changed.admitted)

    listening = asyncio.create_task(listen())
    quota = {**QUOTA, "spec": {"hard": {"pods": "0"}}}
    async with made(world, f"/api/v1/namespaces/{world.namespace}/resourcequotas", quota):
        assert isinstance(await refusal(world.cluster, 1), DeploymentUnavailable)
        # Long enough for some trials.
        await let_time_pass(4 * trials.EVERY_S)
        assert admitted == set()
    await eventually(lambda: DEPLOYMENT in admitted)
    listed = await asyncio.to_thread(world.client.get, f"/api/v1/namespaces/{world.namespace}/pods")
    assert listed["items"] == []
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await goes_on(world, world.cluster, 1)


async def test_rights_that_are_taken_away_are_named_at_the_next_write(kubernetes_world, as_account):
    world = kubernetes_world
    async with as_account("specstream-writer") as cluster:
        await cluster.apply(workload(run_of(1)), fence=1)
        await world.until(all_run(1))
        path = f"{PATHS['RoleBinding'].format(namespace=world.namespace)}/specstream-writer"
        binding = await asyncio.to_thread(world.client.get, path)
        await asyncio.to_thread(world.client.delete, path)

        async def is_refused():
            # Each time another one: what was removed before the server knew of it is not written again.
            try:
                await cluster.remove(new_id(), fence=1)
            except ClusterUnavailable as error:
                return str(error)
            return None

        said = await eventually(is_refused, every_s=0.2)
        assert "does not allow us to" in said
        assert "configmaps" in said
        del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
        await asyncio.to_thread(world.client.create, path.rpartition("/")[0], binding)
        await goes_on(world, cluster, 2)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("UnexpectedAdmissionError", "rejected"),
        ("OutOfnvidia.com/gpu", "rejected"),
        ("NodeShutdown", "rejected"),
    ],
)
async def test_a_kubelet_that_refuses_a_pod_says_so(kubernetes_world, state, reason):
    world = kubernetes_world
    await world.cluster.apply(workload(run_of(1)), fence=1)
    (first,) = await world.until(all_run(1))
    seen = asyncio.ensure_future(world.until(lambda shown: not shown or shown[0].reason is not None))
    await world.say(first.replica_id, {"phase": "Failed", "reason": state, "message": "no room"})
    for shown in await seen:
        assert (shown.reason, shown.message) == (reason, f"{state}: no room")
    await world.until(lambda shown: not shown)
