"""Lists of an API server that are some time old, as one may have them that has just started."""

import json
from collections import Counter

from aiohttp import web

from libs.common.cluster.kubernetes.knowledge import ANCHORS, PODS
from tests.support.fault_proxy import Forward
from tests.support.kubelab.client import Client


class OldLists:
    """What the server had at one time, told to whoever lists next."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._lists: dict[str, bytes] = {}
        self.left: Counter[str] = Counter()
        """How many times each of them is still to be told."""

    def remember(self) -> None:
        for kind in (PODS, ANCHORS):
            path = f"/api/v1/namespaces/{self._namespace}/{kind.resource}"
            found = self._client.get(path, labelSelector=kind.selector)
            self._lists[kind.resource] = json.dumps(found).encode()

    async def fault(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        resource = request.path.rpartition("/")[2]
        if self.left[resource] == 0:
            return await forward()
        self.left[resource] -= 1
        return web.Response(body=self._lists[resource], content_type="application/json")
