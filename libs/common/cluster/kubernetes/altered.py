"""What somebody has made of a pod by hand. Pure."""

from collections.abc import Mapping

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.pods import Pod


def is_labelled(pod: Pod) -> bool:
    """Whether it is among the pods that we watch."""
    expected = {names.MANAGED_BY: names.MANAGER, names.COMPONENT: names.REPLICAS}
    return expected.items() <= pod.labels.items()


def is_altered(pod: Pod, labels: Mapping[str, str], image: str) -> bool:
    """Whether it is another one now: it was made with those labels and that image. Its resources may be
    changed, and other labels and containers put beside."""
    return pod.labels != labels or (not pod.is_as_made and pod.image != image)
