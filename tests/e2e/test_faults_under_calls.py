"""Anything between the platform and its API server goes wrong while clients call: real pods, real calls.

It holds promises 2, 3 and 5. The nodes have their API server: only the way from the platform to it is broken.
`SPECSTREAM_SEED` does the run by chance again.
"""

import random
from collections import Counter
from dataclasses import replace

import pytest

from libs.common.clock import monotonic
from tests.support.changes import Changes
from tests.support.course import WITHIN_S, Course
from tests.support.fault_proxy import before
from tests.support.faults_by_chance import Chance
from tests.support.hasty_watcher import HASTY
from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.kubernetes_faults import FAULTS, Trouble
from tests.support.pod_platform import pod_platform
from tests.support.polling import let_time_pass
from tests.support.tries import soon_or_twice

CLIENTS = 8
BY_CHANCE_S = 30.0
PAUSE_S = (0.5, 3.0)
"""Between two changes by chance."""
SEED = choose_seed()


@pytest.fixture(scope="module")
async def proxy_of_all(real_node, tmp_path_factory):
    async with before(real_node.kubeconfig, tmp_path_factory.mktemp("proxy")) as proxy:
        proxy.reminds_every_s = 0.5
        yield proxy


@pytest.fixture
def proxy(proxy_of_all):
    yield proxy_of_all
    proxy_of_all.mend()


@pytest.fixture(scope="module")
async def platform(real_node, proxy_of_all, tmp_path_factory):
    through_proxy = replace(real_node, kubeconfig=proxy_of_all.kubeconfig)
    async with pod_platform(through_proxy, tmp_path_factory.mktemp("faults") / "home", **HASTY) as platform:
        yield platform


@pytest.fixture(scope="module")
async def changes(platform, proxy_of_all):
    return Changes(Course(platform, proxy_of_all))


@pytest.mark.parametrize("fault", FAULTS)
async def test_calls_are_served_and_changes_carried_out_once_within_ten_seconds(changes, proxy, fault):
    course = changes.course

    async def disturbed():
        await changes.prepare()
        async with course.platform.calling(changes.called, lanes=CLIENTS) as caller:
            go_on = await FAULTS[fault](Trouble(course.platform, proxy))
            await changes.ask()
            await go_on()
            return await course.ends_well([caller])

    await soon_or_twice(disturbed, lambda: undisturbed(changes), WITHIN_S)


async def undisturbed(changes):
    """How long the same changes take where nothing goes wrong."""
    await changes.prepare()
    async with changes.course.platform.calling(changes.called, lanes=CLIENTS) as caller:
        await changes.ask()
        return await changes.course.ends_well([caller])


async def test_calls_are_served_and_changes_carried_out_once_whatever_goes_wrong_by_chance(changes, proxy):
    print(f"{SEED_VARIABLE}={SEED}")
    course = changes.course
    rng = random.Random(f"changes {SEED}")

    async def attempt():
        await changes.prepare()
        chance = Chance(rng.randrange(1_000_000), Trouble(course.platform, proxy))
        # Pods of it are deleted by hand, so whoever calls allows that what one has begun is tried elsewhere.
        async with course.platform.calling(changes.called, lanes=CLIENTS, allows_repeats=True) as caller:
            ends, asked = monotonic() + BY_CHANCE_S, Counter()
            async with chance.dealing():
                while monotonic() < ends:
                    asked[await changes.ask_by_chance(rng)] += 1
                    await let_time_pass(rng.uniform(*PAUSE_S))
            print(f"asked: {dict(asked)}; met: {dict(chance.met)}")
            return await course.ends_well([caller])

    await soon_or_twice(attempt, lambda: undisturbed(changes), WITHIN_S)
