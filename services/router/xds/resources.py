"""A deployment's routing in Envoy's words. Pure.

Each kind of message is parsed once from a readable template; what differs from deployment to deployment is
set on a copy, which costs microseconds where parsing costs a fraction of a millisecond (10,000 deployments
are 40,000 messages).
"""

from dataclasses import dataclass
from typing import Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.route.v3 import route_components_pb2
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.config.route.v3.scoped_route_pb2 import ScopedRouteConfiguration

# json_format resolves the packed extensions below only once their modules are loaded.
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
from google.protobuf import json_format
from xds.type.v3.typed_struct_pb2 import TypedStruct

from libs.common.domain import endpoint_host
from services.router.routing import Endpoint, Health, Refusal, Route, Routing
from services.router.xds.types import Packed

ADS: Final[dict[str, Any]] = {"ads": {}, "resource_api_version": "V3"}
METADATA: Final = "specstream"
"""Namespace of the metadata that the response headers are made from."""
SPEC_ID: Final = "spec_id"
"""Of an endpoint: what its replica carries out. Of a virtual host: the newest registered one."""
HOST_FILTER: Final = "specstream.host"
"""The listener's filter for hosts that no replica answers for; see `listener.py`."""

RETRIES: Final = 4
REPLAYABLE_BODY_BYTES: Final = 1024 * 1024
"""A request with a longer body can no longer be tried on another replica; Envoy would have to hold it."""
BUFFER_BYTES: Final = 64 * 1024
"""What Envoy reads ahead on a connection, either side, before it lets the sender wait."""

REPEATABLE: Final = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
"""Methods whose requests have the same effect done twice as done once."""
IDEMPOTENCY_KEY: Final = "idempotency-key"
"""By this header a caller says the same of any other request."""
_UNANSWERED = "connect-failure,refused-stream,reset"
"""Only what no replica has begun to answer: `reset` means before the first response header."""
_UNSENT = "connect-failure,refused-stream,reset-before-request"
"""Only what no replica has been sent a byte of."""

_FRESH = "-fresh"
_PRIORITY_GROUPS = (
    "type.googleapis.com/envoy.extensions.router.cluster_specifiers.priority_group.v3"
    ".PriorityGroupClusterSpecifier"
)
_REFRESH_CLUSTER_ON_RETRY: Final = bytes((14 << 3, 1))
"""Field 14 of `RetryPolicy`, a boolean."""

_NO_LIMIT = 1_000_000
MAX_ANSWER_HEADERS: Final = 1000
"""Envoy's default of 100 would turn the answer of a replica that has more into an error."""


def _http_options(common: dict[str, Any]) -> dict[str, Any]:
    """common: of both HTTP versions."""
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"max_headers_count": MAX_ANSWER_HEADERS, **common},
            "explicit_http_config": {"http_protocol_options": {}},
        }
    }


_CLUSTER: Final[dict[str, Any]] = {
    "type": "EDS",
    "eds_cluster_config": {"eds_config": ADS},
    "connect_timeout": "3s",
    "per_connection_buffer_limit_bytes": BUFFER_BYTES,
    "lb_policy": "ROUND_ROBIN",
    # Health is decided by probes. Envoy's default of 50 would send requests to draining replicas again
    # as soon as more than half of them are draining.
    "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    # Envoy's defaults (1,024 connections, 3 retries at a time) would lose calls when a replica dies
    # under load; a limit per deployment is a matter of its replicas, not of the proxy.
    "circuit_breakers": {
        "thresholds": [
            {
                "max_connections": _NO_LIMIT,
                "max_pending_requests": _NO_LIMIT,
                "max_requests": _NO_LIMIT,
                "max_retries": _NO_LIMIT,
            }
        ]
    },
    # Below the keep-alive of common servers (gunicorn 2 s, uvicorn and Node 5 s), so that a request seldom
    # meets a connection that its replica is just closing; the retry on a fresh one covers the rest.
    "typed_extension_protocol_options": _http_options({"idle_timeout": "1s"}),
}

_REPEATABLE_ROUTE: Final[dict[str, Any]] = {
    "match": {"prefix": "/"},
    "route": {
        # A model may answer for as long as it likes.
        "timeout": "0s",
        # No byte in either direction for an hour: the other side is gone. Below an hour a model may think.
        "idle_timeout": "3600s",
        "retry_policy": {
            "retry_on": _UNANSWERED,
            "num_retries": RETRIES,
            "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.250s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/"
                        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            "host_selection_retry_max_attempts": 10,
        },
    },
    "request_body_buffer_limit": REPLAYABLE_BODY_BYTES,
}

REFUSALS: Final = {
    Refusal.DISABLED: "The deployment is disabled.",
    Refusal.STOPPED: "The deployment is stopped: it wants 0 replicas.",
}
"""What the routes of deployments that serve nothing say. All deployments refused alike share one route."""

_HEALTH: Final = {
    Health.HEALTHY: health_check_pb2.HEALTHY,
    Health.UNHEALTHY: health_check_pb2.UNHEALTHY,
    Health.DRAINING: health_check_pb2.DRAINING,
}

_ROUTE: Final[dict[str, Any]] = {
    **_REPEATABLE_ROUTE,
    "match": {
        "prefix": "/",
        "headers": [
            {
                "name": ":method",
                "string_match": {"safe_regex": {"regex": "|".join(REPEATABLE)}},
                "invert_match": True,
            },
            {"name": IDEMPOTENCY_KEY, "present_match": False},
        ],
    },
    "route": {
        **_REPEATABLE_ROUTE["route"],
        "retry_policy": {**_REPEATABLE_ROUTE["route"]["retry_policy"], "retry_on": _UNSENT},
    },
}

_CLUSTER_TEMPLATE: Final = json_format.ParseDict(_CLUSTER, Cluster())
_FRESH_CLUSTER_TEMPLATE: Final = json_format.ParseDict(
    {**_CLUSTER, "typed_extension_protocol_options": _http_options({"max_requests_per_connection": 1})},
    Cluster(),
)
_ROUTE_TEMPLATES: Final = tuple(
    json_format.ParseDict(route, route_components_pb2.Route()) for route in (_ROUTE, _REPEATABLE_ROUTE)
)
_ROUTES_TEMPLATE: Final = json_format.ParseDict(
    {
        "virtual_hosts": [
            {
                "domains": ["*"],
                # The listener drops what a replica sends under this name, so nothing is there to overwrite.
                "response_headers_to_add": [
                    {"header": {"key": "x-specstream-deployment"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
                ],
            }
        ],
        # A cluster comes with its first endpoint and goes with its last; without it the answer is a 503.
        "validate_clusters": False,
        # A request that has found its replicas needs no second look at its host.
        "typed_per_filter_config": {
            HOST_FILTER: {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "disabled": True,
            }
        },
    },
    RouteConfiguration(),
)


@dataclass(frozen=True, slots=True)
class Resources:
    """One deployment for Envoy. Cluster and endpoints come and go together: a cluster without endpoints would
    cost Envoy 30 KiB and answer no other than one that is not there.
    """

    cluster: Packed | None = None
    endpoints: Packed | None = None
    scope: Packed | None = None
    """What the deployment's host answers."""
    route: Packed | None = None
    """Only of the refusing routes, which scopes name."""
    is_served: bool = False
    """Whether the scope leads to the cluster."""


def make_resources(routing: Routing, domain: str) -> Resources:
    """All resources of a deployment are named by its id."""
    name, route = routing.deployment_id, routing.route
    return Resources(
        cluster=Packed.of(make_cluster(name), make_fresh_cluster(name)) if routing.endpoints else None,
        endpoints=Packed.of(make_load_assignment(name, routing.endpoints)) if routing.endpoints else None,
        scope=Packed.of(make_scope(name, route, domain)) if route else None,
        is_served=route is not None and route.refusal is None,
    )


def refusing_resources() -> dict[str, Resources]:
    """The routes that refuse, by name. Each has a scope of its own, with a key that no host can have, so that
    Envoy has the route before the first deployment needs it."""
    return {
        refusing_route(refusal): Resources(
            scope=Packed.of(_scope(refusing_route(refusal), f" {refusal}", refusing_route(refusal))),
            route=Packed.of(make_refusing_route(refusal)),
        )
        for refusal in Refusal
    }


def refusing_route(refusal: Refusal) -> str:
    return f"refusing-{refusal}"


def make_cluster(name: str) -> Cluster:
    cluster = Cluster()
    cluster.CopyFrom(_CLUSTER_TEMPLATE)
    cluster.name = name
    return cluster


def fresh_cluster(name: str) -> str:
    """The name of a deployment's second cluster: the same endpoints, each request on a connection of its own.

    Retries go there. An idle connection that the replica is just closing looks like any other, and where one
    is closing the next one in the pool often is too.
    """
    return name + _FRESH


def deployment_of_cluster(name: str) -> str:
    return name.removesuffix(_FRESH)


def make_fresh_cluster(name: str) -> Cluster:
    cluster = Cluster()
    cluster.CopyFrom(_FRESH_CLUSTER_TEMPLATE)
    cluster.name = fresh_cluster(name)
    cluster.eds_cluster_config.service_name = name
    return cluster


def make_cluster_order(name: str) -> route_components_pb2.ClusterSpecifierPlugin:
    """The first try goes to the common connections, each retry to a fresh one."""
    order = route_components_pb2.ClusterSpecifierPlugin()
    order.extension.name = "envoy.router.cluster_specifier_plugin.priority_group"
    config = TypedStruct(type_url=_PRIORITY_GROUPS)
    clusters = (name, *(fresh_cluster(name),) * RETRIES)
    groups = [
        {"name": str(attempt), "clusters": [{"cluster_name": cluster, "weight": 1}]}
        for attempt, cluster in enumerate(clusters)
    ]
    config.value.update({"priority_groups": groups})
    order.extension.typed_config.Pack(config)
    return order


def make_load_assignment(name: str, endpoints: tuple[Endpoint, ...]) -> ClusterLoadAssignment:
    assignment = ClusterLoadAssignment(cluster_name=name)
    locality = assignment.endpoints.add()
    locality.lb_endpoints.extend(_lb_endpoint(endpoint) for endpoint in endpoints)
    return assignment


def _lb_endpoint(endpoint: Endpoint) -> LbEndpoint:
    host, _, port = endpoint.address.rpartition(":")
    target = LbEndpoint(health_status=_HEALTH[endpoint.health])
    target.endpoint.hostname = endpoint.replica_id
    socket = target.endpoint.address.socket_address
    socket.address, socket.port_value = host.strip("[]"), int(port)
    fields = target.metadata.filter_metadata[METADATA].fields
    fields[SPEC_ID].string_value = endpoint.spec_id
    return target


def make_scope(name: str, route: Route, domain: str) -> ScopedRouteConfiguration:
    """What the host of a deployment answers.

    A route to replicas lies within the scope: subscribed to by name it would cost Envoy 6 KiB more, and
    a round trip at each change.
    """
    key = endpoint_host(name, domain)
    if route.refusal is not None:
        return _scope(name, key, refusing_route(route.refusal))
    scope = _scope(name, key)
    scope.route_configuration.CopyFrom(make_route_configuration(name, route.spec_id))
    return scope


def _scope(name: str, key: str, route: str = "") -> ScopedRouteConfiguration:
    scope = ScopedRouteConfiguration(name=name, route_configuration_name=route)
    scope.key.fragments.add(string_key=key)
    return scope


def make_route_configuration(name: str, spec_id: str) -> RouteConfiguration:
    """The route to a deployment's replicas. spec_id: the newest registered one."""
    configuration = RouteConfiguration()
    configuration.CopyFrom(_ROUTES_TEMPLATE)
    configuration.name = name
    host = configuration.virtual_hosts[0]
    host.name = name
    host.response_headers_to_add[0].header.value = name
    # For the errors that Envoy makes itself (`listener.py`).
    host.metadata.filter_metadata[METADATA].fields[SPEC_ID].string_value = spec_id
    for template in _ROUTE_TEMPLATES:
        target = host.routes.add()
        target.CopyFrom(template)
        target.name = name  # Envoy counts requests by it (`counting.py`)
        target.route.inline_cluster_specifier_plugin.CopyFrom(make_cluster_order(name))
        # `refresh_cluster_on_retry`, which the Python package does not know yet.
        target.route.retry_policy.MergeFromString(_REFRESH_CLUSTER_ON_RETRY)
    return configuration


def make_refusing_route(refusal: Refusal) -> RouteConfiguration:
    """The listener's filter answers for it, by this metadata, because only there the answer can name the
    deployment that was asked for."""
    route = {
        "match": {"prefix": "/"},
        "metadata": {"filter_metadata": {HOST_FILTER: {"error": REFUSALS[refusal], "error_code": refusal}}},
        "direct_response": {"status": 404},
    }
    host = {"name": refusal, "domains": ["*"], "routes": [route]}
    return json_format.ParseDict(
        {"name": refusing_route(refusal), "virtual_hosts": [host]}, RouteConfiguration()
    )
