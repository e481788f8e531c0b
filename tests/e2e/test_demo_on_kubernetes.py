"""The demo of `make demo-kubernetes`, on the real nodes that these tests have anyway."""

from tests.e2e.test_demo import none_failed, told_by


async def test_every_step_of_the_demo_works_with_pods_and_no_call_fails(real_node):
    none_failed(await told_by("tests.support.kubelab.demo", "--kubeconfig", str(real_node.kubeconfig)))
