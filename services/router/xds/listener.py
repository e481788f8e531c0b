"""The one listener: where the requests of all deployments come in. Pure.

It never changes while the platform runs, so that no connection is ever drained for a configuration change;
everything that differs between deployments is in their routes, clusters and endpoints.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2  # noqa: F401 - resolves packed extensions, as those below
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2  # noqa: F401
from envoy.extensions.filters.http.lua.v3 import lua_pb2  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401
    http_connection_manager_pb2,
)
from google.protobuf import json_format

from libs.common.loopback import IPV4
from services.router.xds.counting import ACCESS_LOG
from services.router.xds.resources import ADS, BUFFER_BYTES, HOST_FILTER, METADATA, SPEC_ID

LISTENER_NAME: Final = "edge"
OUR_HEADERS: Final = "x-specstream-"
"""What a client or a replica sends under this prefix is dropped."""
READ_ALIKE: Final = ("x_specstream", "x-specstream_")
"""And what a client sends under these: replicas that know headers as CGI does read `_` and `-` as one."""
RETRY_AFTER_S: Final = 1
HEADERS_SILENCE_S: Final = 30.0
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
WEBSOCKET: Final = "websocket"
"""The one protocol to which a connection may be upgraded."""

_TYPE = "type.googleapis.com/envoy.extensions."

_HOST_LUA = """
function envoy_on_request(request)
  local host = request:headers():get(":authority") or ""
  local lower = string.lower(host)
  if lower ~= host then
    request:headers():replace(":authority", lower)
  end
  local refusal = request:metadata()
  local code = refusal:get("error_code")
  if code then
    local id = string.match(lower, "^d(%x+)") or ""
    local body = '{"error": "%s", "error_code": "%s", "deployment_id": "%s"}'
    request:respond(
      {[":status"] = "404", ["x-specstream-deployment"] = id},
      string.format(body, refusal:get("error"), code, id)
    )
  end
end
"""


def make_listener(
    port: int,
    *,
    hosts: Sequence[str] = (IPV4,),
    upload_deadline_s: float,
    headers_silence_s: float = HEADERS_SILENCE_S,
    counts_requests: bool = True,
) -> Listener:
    """Listens on `port` of all `hosts`.

    upload_deadline_s: how long a client may take to send a request.
    headers_silence_s: how long it may say nothing before the request's headers are whole.
    counts_requests: only a benchmark goes without.
    """
    manager = _connection_manager(upload_deadline_s, headers_silence_s)
    if counts_requests:
        manager["access_log"] = list(ACCESS_LOG)
    first, *others = ({"socket_address": {"address": host, "port_value": port}} for host in hosts)
    listener = {
        "name": LISTENER_NAME,
        "address": first,
        "additional_addresses": [{"address": address} for address in others],
        # With it a second process could share the port unnoticed; without it that is a refused listener.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return json_format.ParseDict(listener, Listener())


def _connection_manager(upload_deadline_s: float, headers_silence_s: float) -> dict[str, Any]:
    return {
        "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": LISTENER_NAME,
        "scoped_routes": {
            "name": LISTENER_NAME,
            # The host without its port, which differs between machines and is no part of its name.
            "scope_key_builder": {
                "fragments": [
                    {
                        "header_value_extractor": {
                            "name": ":authority",
                            "element_separator": ":",
                            "index": 0,
                        }
                    }
                ]
            },
            "rds_config_source": ADS,
            "scoped_rds": {"scoped_rds_config_source": ADS},
        },
        "http_filters": [_host(), _router()],
        "strip_trailing_host_dot": True,
        "upgrade_configs": [{"upgrade_type": WEBSOCKET}],
        "http_protocol_options": {
            "accept_http_10": True,
            # An offer to upgrade to anything else is no more than an offer, and common clients make one with
            # each request (Apache's for Java: TLS/1.2). Envoy would answer 403.
            "ignore_http_11_upgrade": [{"safe_regex": {"regex": _anything_but(WEBSOCKET)}}],
        },
        # The replica's own `server` header is its business.
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": True,
        # No client is trusted for its address: its x-envoy-* headers would steer retries and timeouts.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "preserve_external_request_id": True,
        # Counts until the headers are whole; a route has another for what comes after (`resources.py`).
        # `request_headers_timeout` would be one timer more for each request.
        "stream_idle_timeout": f"{headers_silence_s:.3f}s",
        # For the whole request, headers included. Once the answer has begun it does not count: a
        # conversation of both sides may take as it likes, and so may an answer.
        "request_timeout": f"{upload_deadline_s:.3f}s",
        # A connection without a request is given up earlier: whoever opens many takes them from others.
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "local_reply_config": _local_replies(),
    }


def _anything_but(word: str) -> str:
    """A pattern of RE2, which cannot look ahead; the case of letters does not count."""
    others = (f"{word[:place]}([^{letter}].*)?" for place, letter in enumerate(word))
    return f"(?i)({'|'.join(others)}|{word}.+)"


def _host() -> dict[str, Any]:
    """What is particular about hosts that no replica answers for. Routes to replicas switch this filter off.

    Hosts compare without regard to case and scope keys do not: where no scope was found, it is looked for
    once more in lower case. Where the route refuses, the answer is made here.
    """
    return {
        "name": HOST_FILTER,
        "typed_config": {
            "@type": _TYPE + "filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": _HOST_LUA},
        },
    }


def _router() -> dict[str, Any]:
    """Our headers are set beside the upstream connection, because only there it is certain that a replica
    answered: an error that Envoy makes after a failed try would name that replica too."""
    ours, *alike = (
        {"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in (OUR_HEADERS, *READ_ALIKE)
    )
    mutations = {
        "request_mutations": [ours, *alike],
        "response_mutations": [
            ours,
            *(
                {
                    "append": {
                        "header": {
                            "key": OUR_HEADERS + header,
                            "value": value,
                        },
                        # They have just been dropped. To overwrite them Envoy would look for them, and for
                        # the first look it makes a map of all headers.
                        "append_action": "APPEND_IF_EXISTS_OR_ADD",
                    }
                }
                for header, value in (
                    # An endpoint's host name is its replica's id: read at half the cost of metadata.
                    ("replica", "%UPSTREAM_HOST_NAME%"),
                    ("spec", f"%UPSTREAM_METADATA({METADATA}:{SPEC_ID})%"),
                )
            ),
        ],
    }
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": _TYPE + "filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
            # Statistics for each cluster are not kept (`infra/envoy/bootstrap.json`); without this their
            # names would still be put together for every request, 1.5 us of 40.
            "dynamic_stats": False,
            "upstream_http_filters": [
                {
                    "name": "specstream.headers",
                    "typed_config": {
                        "@type": _TYPE + "filters.http.header_mutation.v3.HeaderMutation",
                        "mutations": mutations,
                    },
                },
                {
                    "name": "envoy.filters.http.upstream_codec",
                    "typed_config": {"@type": _TYPE + "filters.http.upstream_codec.v3.UpstreamCodec"},
                },
            ],
        },
    }


def _local_replies() -> dict[str, Any]:
    """What Envoy answers by itself, as JSON. The flags are those of the last try.

    | response flags               | status  | error_code            |
    |------------------------------|---------|-----------------------|
    | NR: no scope, no route       | 404     | deployment_not_found  |
    | UH: no endpoint is healthy   | 503     | no_ready_replicas     |
    | UF, NC: not reached          | 503     | no_ready_replicas     |
    | UC, UR, LR: broken off       | 503     | replica_failed        |
    | UPE: the answer is no HTTP   | 502     | replica_failed        |
    | none, 404: `OPTIONS *`       | 404     | request_failed            |
    | none, 404: a refusing route  | 404     | made by the host filter   |
    | none, 503: memory runs out   | 503     | overloaded            |
    | any, 408: sent too slowly    | 408     | request_timeout       |
    | any, 504: an hour of silence | 504     | replica_timeout       |
    | none, 413: the body          | 413     | request_too_large     |
    | none, 431: the headers       | 431     | request_too_large     |
    | none, 2xx: no WebSocket      | 502     | websocket_refused     |
    | none, 3xx: no WebSocket      | as is   | websocket_refused     |
    | anything else                | as is   | request_failed        |
    """
    retry = {"retry-after": str(RETRY_AFTER_S)}
    return {
        "mappers": [
            _on_flags(["NR"], "There is no deployment at this address.", "deployment_not_found"),
            _on_flags(["UH", "UF", "NC"], "No replica is ready.", "no_ready_replicas", headers=retry),
            _on_flags(
                ["UC", "UR", "LR"],
                "The replica broke off before it answered.",
                "replica_failed",
                headers=retry,
            ),
            _on_flags(["UPE"], "The replica's answer is no valid HTTP.", "replica_failed"),
            _on_status(503, "There is no memory left for more requests.", "overloaded", headers=retry),
            _on_status(408, "The request was sent too slowly.", "request_timeout"),
            _on_status(504, "The replica has said nothing for too long.", "replica_timeout"),
            _on_status(413, "The request's body is too large.", "request_too_large"),
            _on_status(431, "The request's headers are too large.", "request_too_large"),
            # Envoy passes on what a replica says instead of "101" only where it is an error.
            {**_on_no_websocket(299), "status_code": 502},
            _on_no_websocket(399),
            {
                "filter": _status(400),
                "headers_to_add": _headers({}),
                "body_format_override": _failed("The request is no valid HTTP."),
            },
            _mapper(_asks_for_no_path(), "A path begins with a slash.", "request_failed", NO_HEADERS),
            {
                "filter": _status(404),
                "body_format_override": {
                    "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"},
                    "content_type": "application/json",
                },
            },
            {"filter": _status(0, "GE"), "headers_to_add": _headers({})},
        ],
        "body_format": _failed("The request cannot be served."),
    }


def _failed(message: str) -> dict[str, Any]:
    """A body with Envoy's own word for what went wrong."""
    body = {"error": message, "error_code": "request_failed", "details": "%RESPONSE_CODE_DETAILS%"}
    return {"json_format": body}


def _on_no_websocket(most: int) -> dict[str, Any]:
    message = "The replica answers at this path, and not by WebSocket."
    return _mapper(_status(most, "LE"), message, "websocket_refused", NO_HEADERS)


def _status(code: int, op: str = "EQ") -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _asks_for_no_path() -> dict[str, Any]:
    """For such a request Envoy looks for no route, so its answer has no flag either."""
    no_path = {"header": {"name": ":path", "string_match": {"prefix": "/"}, "invert_match": True}}
    return {"and_filter": {"filters": [_status(404), {"header_filter": no_path}]}}


def _on_status(
    code: int, message: str, error_code: str, *, headers: Mapping[str, str] = NO_HEADERS
) -> dict[str, Any]:
    return _mapper(_status(code), message, error_code, headers)


def _on_flags(
    flags: list[str], message: str, error_code: str, *, headers: Mapping[str, str] = NO_HEADERS
) -> dict[str, Any]:
    return _mapper({"response_flag_filter": {"flags": flags}}, message, error_code, headers)


def _mapper(
    condition: dict[str, Any], message: str, error_code: str, headers: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "filter": condition,
        "headers_to_add": _headers(headers),
        "body_format_override": {"json_format": {"error": message, "error_code": error_code}},
    }


def _headers(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of an error that Envoy makes itself: these, and the newest spec of the deployment that was asked.

    A route could add it, but to every answer, and would have to look whether a replica's answer has its own.
    """
    spec = {OUR_HEADERS + "spec": f"%METADATA(VIRTUAL_HOST:{METADATA}:{SPEC_ID})%"}
    return [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in {**headers, **spec}.items()
    ]
