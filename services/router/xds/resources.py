"""A deployment's routing in Envoy's words. Pure.

Each kind of message is parsed once from a readable template; what differs from deployment to deployment is
set on a copy, which costs microseconds where parsing costs a fraction of a millisecond (10,000 deployments
are 40,000 messages).
"""

import json
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

from libs.common.ids import endpoint_host
from services.router.routing import Endpoint, Health, Refusal, Route, Routing
from services.router.xds.types import Packed

ADS: Final[dict[str, Any]] = {"ads": {}, "resource_api_version": "V3"}
METADATA: Final = "specstream"
"""Namespace of the endpoint metadata that the response headers are made from."""
LOWERCASE_HOST: Final = "specstream.lowercase_host"
"""The listener's filter for hosts that no scope has; see `listener.py`."""
DOMAIN: Final = "localhost"

RETRIES: Final = 4
REPLAYABLE_BODY_BYTES: Final = 8 * 1024 * 1024
"""A request with a longer body can no longer be tried on another replica; Envoy would have to hold it."""

_NO_LIMIT = 1_000_000
_CLUSTER: Final[dict[str, Any]] = {
    "type": "EDS",
    "eds_cluster_config": {"eds_config": ADS},
    "connect_timeout": "3s",
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
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            # Below the keep-alive of common servers (gunicorn 2 s, uvicorn and Node 5 s), so that a
            # request seldom meets a connection that its replica is just closing; the retry covers the rest.
            "common_http_protocol_options": {"idle_timeout": "1s"},
            "explicit_http_config": {"http_protocol_options": {}},
        }
    },
}

_ROUTE: Final[dict[str, Any]] = {
    "match": {"prefix": "/"},
    "route": {
        # A model may answer for as long as it likes; the listener's idle timeout ends what is dead.
        "timeout": "0s",
        "retry_policy": {
            # Only what no replica has begun to answer: `reset` means before the first response header.
            "retry_on": "connect-failure,refused-stream,reset",
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

_REFUSALS: Final = {
    Refusal.DISABLED: "The deployment is disabled.",
    Refusal.STOPPED: "The deployment is stopped: it wants 0 replicas.",
}

_HEALTH: Final = {
    Health.HEALTHY: health_check_pb2.HEALTHY,
    Health.UNHEALTHY: health_check_pb2.UNHEALTHY,
    Health.DRAINING: health_check_pb2.DRAINING,
}

_CLUSTER_TEMPLATE: Final = json_format.ParseDict(_CLUSTER, Cluster())
_ROUTE_TEMPLATE: Final = json_format.ParseDict(_ROUTE, route_components_pb2.Route())
_ROUTES_TEMPLATE: Final = json_format.ParseDict(
    {
        "virtual_hosts": [
            {
                "domains": ["*"],
                "response_headers_to_add": [
                    # In this order: `_deployment_header` and `_spec_header` below set the values.
                    {
                        "header": {"key": "x-specstream-deployment"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    },
                    # A replica's answer already has its own (`listener.py`); this one is for our errors.
                    {"header": {"key": "x-specstream-spec"}, "append_action": "ADD_IF_ABSENT"},
                ],
            }
        ],
        # A request that has found its route needs no second look at its host.
        "typed_per_filter_config": {
            LOWERCASE_HOST: {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "disabled": True,
            }
        },
    },
    RouteConfiguration(),
)


@dataclass(frozen=True, slots=True)
class Resources:
    """One deployment for Envoy. Scope and route come and go together, and so do cluster and endpoints.

    is_served: whether the route leads to the cluster.
    """

    cluster: Packed | None = None
    endpoints: Packed | None = None
    scope: Packed | None = None
    route: Packed | None = None
    is_served: bool = False


def make_resources(routing: Routing) -> Resources:
    """All resources of a deployment are named by its id."""
    name = routing.deployment_id
    has_cluster = routing.endpoints is not None
    return Resources(
        cluster=Packed.of(make_cluster(name)) if has_cluster else None,
        endpoints=Packed.of(make_load_assignment(name, routing.endpoints or ())) if has_cluster else None,
        scope=Packed.of(make_scope(name)) if routing.route else None,
        route=Packed.of(make_route_configuration(name, routing.route)) if routing.route else None,
        is_served=routing.route is not None and routing.route.refusal is None,
    )


def make_cluster(name: str) -> Cluster:
    cluster = Cluster()
    cluster.CopyFrom(_CLUSTER_TEMPLATE)
    cluster.name = name
    return cluster


def make_load_assignment(name: str, endpoints: tuple[Endpoint, ...]) -> ClusterLoadAssignment:
    assignment = ClusterLoadAssignment(cluster_name=name)
    if endpoints:
        locality = assignment.endpoints.add()
        locality.lb_endpoints.extend(_lb_endpoint(endpoint) for endpoint in endpoints)
    return assignment


def _lb_endpoint(endpoint: Endpoint) -> LbEndpoint:
    host, _, port = endpoint.address.rpartition(":")
    target = LbEndpoint(health_status=_HEALTH[endpoint.health])
    socket = target.endpoint.address.socket_address
    socket.address, socket.port_value = host.strip("[]"), int(port)
    fields = target.metadata.filter_metadata[METADATA].fields
    fields["replica_id"].string_value = endpoint.replica_id
    fields["spec_id"].string_value = endpoint.spec_id
    return target


def make_scope(name: str) -> ScopedRouteConfiguration:
    scope = ScopedRouteConfiguration(name=name, route_configuration_name=name)
    scope.key.fragments.add(string_key=f"{endpoint_host(name)}.{DOMAIN}")
    return scope


def make_route_configuration(name: str, route: Route) -> RouteConfiguration:
    configuration = RouteConfiguration()
    configuration.CopyFrom(_ROUTES_TEMPLATE)
    configuration.name = name
    host = configuration.virtual_hosts[0]
    host.name = name
    deployment_header, spec_header = host.response_headers_to_add
    deployment_header.header.value = name
    spec_header.header.value = route.spec_id
    if route.refusal is None:
        target = host.routes.add()
        target.CopyFrom(_ROUTE_TEMPLATE)
        target.route.cluster = name
    else:
        refused = host.routes.add()
        refused.match.prefix = "/"
        refused.direct_response.status = 404
        refused.direct_response.body.inline_string = make_error(_REFUSALS[route.refusal], route.refusal, name)
    return configuration


def make_error(message: str, error_code: str, deployment_id: str) -> str:
    """The body of an error that the router itself answers with."""
    return json.dumps({"error": message, "error_code": error_code, "deployment_id": deployment_id})
