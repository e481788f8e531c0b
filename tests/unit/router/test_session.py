"""The stream of one Envoy, played by hand: what is sent when, and what waits for what."""

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from google.rpc.status_pb2 import Status

from services.router.routing import Endpoint, Health, Refusal, Route, Routing
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.resources import deployment_of_cluster, fresh_cluster, refusing_resources
from services.router.xds.types import Packed, ResourceType
from tests.support.deployments import BORN

CLUSTER, ENDPOINTS, LISTENER, SCOPE, ROUTE = ResourceType
SERVED = (Endpoint("127.0.0.1:5001", "r1", "spec-1", Health.HEALTHY),)
REFUSING = refusing_resources().keys()
"""Scopes and routes that every Envoy has, whatever there is to route; left out of what is told."""
TICK = 12.5
DRAINED = (Endpoint("127.0.0.1:5001", "r1", "spec-1", Health.DRAINING),)


class Player:
    """Plays Envoy: what a response brings, by type and name; `+` given, `-` taken away."""

    def __init__(self, cache):
        self.cache = cache
        self.session = cache.connect(notify=lambda: None)
        self.waiting = []
        self.versions = {}

    def subscribe(self, type_, *names, initial=None):
        request = DeltaDiscoveryRequest(type_url=type_, resource_names_subscribe=names)
        request.initial_resource_versions.update(initial or {})
        self.session.receive(request, BORN)
        return self.take()

    def unsubscribe(self, type_, *names):
        request = DeltaDiscoveryRequest(type_url=type_, resource_names_unsubscribe=names)
        self.session.receive(request, BORN)
        return self.take()

    def take(self):
        told = []
        for response in self.session.responses(TICK):
            self.waiting.append(response)
            kind = ResourceType(response.type_url).name.lower()
            given = [resource.name for resource in response.resources]
            for sign, names in (("+", given), ("-", response.removed_resources)):
                firsts = [name for name in names if deployment_of_cluster(name) == name]
                if kind == "cluster":  # each with its second
                    assert sorted(names) == sorted([*firsts, *map(fresh_cluster, firsts)])
                told += [f"{sign}{kind} {name}" for name in firsts if name not in REFUSING]
            for resource in response.resources:
                self.versions[kind, resource.name] = resource.version
        return sorted(told)

    def answer(self, error=None):
        """Acknowledge, or reject, all that came; what is told then."""
        waiting, self.waiting = self.waiting, []
        for response in waiting:
            detail = Status(code=13, message=error) if error else None
            request = DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce, error_detail=detail
            )
            self.session.receive(request, BORN)
        return self.take()


def a_cache(*names):
    cache = Cache(Packed.of(make_listener(8081, upload_deadline_s=600)))
    for name in names:
        cache.put(Routing(name, Route("spec-1"), SERVED))
    return cache


def booted(cache):
    """An Envoy that has taken in everything."""
    player = Player(cache)
    player.subscribe(CLUSTER)
    player.answer()
    player.subscribe(ENDPOINTS, *cache.resources)
    player.answer()
    player.subscribe(LISTENER)
    player.subscribe(SCOPE)
    player.subscribe(ROUTE, *REFUSING)
    assert player.answer() == []
    return player


def test_a_fresh_envoy_is_told_everything_in_order():
    player = Player(a_cache("a"))
    assert player.subscribe(CLUSTER) == ["+cluster a"]
    assert player.subscribe(ENDPOINTS, "a") == ["+endpoints a"]
    assert player.subscribe(LISTENER) == ["+listener edge"]
    assert player.subscribe(SCOPE) == []
    assert player.answer() == ["+scope a"]
    assert player.answer() == []
    assert player.session.is_serving
    assert player.session.has_acknowledged("a")


def test_an_envoy_without_any_deployment_gets_empty_first_answers():
    player = Player(a_cache())
    player.subscribe(CLUSTER)
    assert [len(response.resources) for response in player.waiting] == [0]
    player.subscribe(LISTENER)
    player.subscribe(SCOPE)
    assert len(player.waiting) == 3


def test_a_new_deployment_gets_its_route_after_its_endpoints_are_acknowledged():
    cache = a_cache()
    player = booted(cache)
    cache.put(Routing("a", Route("spec-1"), SERVED))
    assert player.take() == ["+cluster a"]
    assert player.answer() == []
    assert player.subscribe(ENDPOINTS, "a") == ["+endpoints a"]
    assert player.answer() == ["+scope a"]


def test_a_deployment_that_goes_loses_its_scope_before_its_cluster():
    cache = a_cache("a")
    player = booted(cache)
    cache.put(Routing("a"))
    assert player.take() == ["-scope a"]
    assert player.answer() == ["-cluster a"]
    player.unsubscribe(ENDPOINTS, "a")
    assert player.answer() == []
    assert player.session.has_acknowledged("a")


def test_a_deployment_is_refused_before_its_replicas_drain():
    cache = a_cache("a")
    player = booted(cache)
    cache.put(Routing("a", Route("spec-2", Refusal.DISABLED), DRAINED))
    assert player.take() == ["+scope a"]
    assert not player.session.has_acknowledged("a")
    assert player.answer() == ["+endpoints a"]
    player.answer()
    assert player.session.has_acknowledged("a")


def test_a_deleted_deployment_is_unknown_before_its_replicas_drain():
    cache = a_cache("a")
    player = booted(cache)
    cache.put(Routing("a", None, DRAINED))
    assert player.take() == ["-scope a"]
    assert player.answer() == ["+endpoints a"]
    player.answer()
    assert player.session.has_acknowledged("a")


def test_a_deployment_without_endpoints_has_a_route_and_no_cluster():
    cache = a_cache()
    player = booted(cache)
    cache.put(Routing("a", Route("spec-1")))
    assert player.take() == ["+scope a"]
    assert player.session.has_acknowledged("a")
    cache.put(Routing("a", Route("spec-1"), SERVED))
    assert player.take() == ["+cluster a"]
    assert player.subscribe(ENDPOINTS, "a") == ["+endpoints a"]
    assert not player.session.has_acknowledged("a")
    player.answer()
    assert player.session.has_acknowledged("a")


def test_the_last_endpoint_takes_the_cluster_with_it():
    cache = a_cache("a")
    player = booted(cache)
    cache.put(Routing("a", Route("spec-1")))
    assert player.take() == ["-cluster a"]
    assert not player.session.has_acknowledged("a")
    player.unsubscribe(ENDPOINTS, "a")
    assert player.answer() == []
    assert player.session.has_acknowledged("a")


def test_a_deployment_is_refused_before_its_cluster_goes():
    cache = a_cache("a")
    player = booted(cache)
    cache.put(Routing("a", Route("spec-2", Refusal.DISABLED)))
    assert player.take() == ["+scope a"]
    assert not player.session.has_acknowledged("a")
    assert player.answer() == ["-cluster a"]


def test_a_fresh_envoy_is_told_of_what_is_refused_too():
    cache = a_cache()
    cache.put(Routing("a", Route("spec-1", Refusal.DISABLED), DRAINED))
    assert booted(cache).session.has_acknowledged("a")


def test_a_change_of_one_deployment_is_all_that_is_told():
    cache = a_cache("a", "b")
    player = booted(cache)
    assert cache.put(Routing("a", Route("spec-1"), DRAINED))
    assert player.take() == ["+endpoints a"]
    assert not player.session.has_acknowledged("a")
    assert player.session.has_acknowledged("b")
    assert player.session.pending_since() == TICK
    player.answer()
    assert player.session.has_acknowledged("a")
    assert player.session.pending_since() is None


def test_an_unchanged_routing_tells_nothing():
    cache = a_cache("a")
    player = booted(cache)
    assert not cache.put(Routing("a", Route("spec-1"), SERVED))
    assert player.take() == []


def test_a_reconnected_envoy_gets_only_what_differs_and_loses_what_is_gone():
    cache = a_cache("a", "b", "gone")
    old = booted(cache)
    cache.put(Routing("gone"))
    cache.put(Routing("b", Route("spec-2"), SERVED))

    def had(type_):
        kind = type_.name.lower()
        return {name: version for (k, name), version in old.versions.items() if k == kind}

    again = Player(cache)
    assert again.subscribe(CLUSTER, initial=had(CLUSTER)) == []
    assert again.subscribe(ENDPOINTS, "a", "b", "gone", initial=had(ENDPOINTS)) == []
    assert again.subscribe(LISTENER, initial=had(LISTENER)) == []
    assert again.subscribe(SCOPE, initial=had(SCOPE)) == ["+scope b", "-scope gone"]
    assert again.answer() == ["-cluster gone"]


def test_a_reconnected_envoy_loses_what_is_gone_also_when_something_else_is_new():
    cache = a_cache("a", "gone")
    old = booted(cache)
    cache.put(Routing("gone"))
    cache.put(Routing("a", Route("spec-1"), DRAINED))

    def had(type_):
        kind = type_.name.lower()
        return {name: version for (k, name), version in old.versions.items() if k == kind}

    again = Player(cache)
    again.subscribe(CLUSTER, initial=had(CLUSTER))
    again.subscribe(LISTENER, initial=had(LISTENER))
    assert again.subscribe(ENDPOINTS, "a", "gone", initial=had(ENDPOINTS)) == ["+endpoints a"]
    assert again.subscribe(SCOPE, initial=had(SCOPE)) == []
    assert "-scope gone" in again.answer()


def test_a_rejection_is_reported_and_not_repeated():
    cache = a_cache("a")
    player = booted(cache)
    cache.put(Routing("a", Route("spec-1"), DRAINED))
    player.take()
    (response,) = player.waiting
    rejection = player.session.receive(
        DeltaDiscoveryRequest(
            type_url=ENDPOINTS, response_nonce=response.nonce, error_detail=Status(code=13, message="no")
        ),
        BORN,
    )
    assert (rejection.type, rejection.names, rejection.message) == (ENDPOINTS, ("a",), "no")
    assert player.take() == []
    assert not player.session.has_acknowledged("a")
    assert player.session.pending_since() is None


def test_after_a_rejection_of_many_each_is_given_alone():
    cache = a_cache("a", "b")
    player = booted(cache)
    for name in ("a", "b"):
        cache.put(Routing(name, Route("spec-1"), DRAINED))
    player.take()
    assert player.answer(error="one of you is wrong") == ["+endpoints a", "+endpoints b"]
    assert [len(response.resources) for response in player.waiting] == [1, 1]
    player.answer()
    assert player.session.has_acknowledged("a")


def test_one_refused_deployment_does_not_keep_the_listener_closed():
    player = Player(a_cache("a"))
    player.subscribe(CLUSTER)
    player.answer()
    player.subscribe(ENDPOINTS, "a")
    player.answer(error="malformed address")
    player.subscribe(LISTENER)
    assert player.subscribe(SCOPE) == ["+scope a"]


def test_a_cluster_that_changes_is_followed_by_its_endpoints_again():
    cache = a_cache("a")
    old = booted(cache)
    again = Player(cache)
    assert again.subscribe(CLUSTER, initial={"a": "from an older router"}) == ["+cluster a"]
    initial = {"a": old.versions["endpoints", "a"]}
    assert again.subscribe(ENDPOINTS, "a", initial=initial) == ["+endpoints a"]


def test_an_envoy_that_has_one_of_the_two_clusters_gets_both_or_loses_both():
    old = booted(a_cache("a", "gone"))
    version = old.versions["cluster", "a"]
    again = Player(a_cache("a"))
    assert again.subscribe(CLUSTER, initial={"a": version, fresh_cluster("gone"): "any"}) == ["+cluster a"]
    again.answer()
    again.subscribe(ENDPOINTS, "a")
    again.answer()
    assert set(again.subscribe(SCOPE)) == {"+scope a", "-cluster gone"}


def test_only_an_envoy_with_a_listener_may_serve():
    player = Player(a_cache("a"))
    player.subscribe(LISTENER)
    assert not player.session.may_serve
    player.answer()
    assert player.session.may_serve
    again = Player(a_cache("a"))
    again.subscribe(LISTENER, initial={"edge": "from an older router"})
    assert (again.session.may_serve, again.session.is_serving) == (True, False)


def test_what_is_asked_for_again_is_given_again():
    player = booted(a_cache("a"))
    assert player.subscribe(ENDPOINTS, "a") == ["+endpoints a"]


def test_the_same_content_has_the_same_version_in_another_process():
    one, other = a_cache("a").resources["a"], a_cache("a").resources["a"]
    assert one == other
