"""The Envoys of the benchmarks: the platform's own, programmed by its router, and a bare one to compare."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples, SamplePublisher
from tests.support.envoy import OPTIONS, EnvoyProcess, find_envoy
from tests.support.free_ports import free_port
from tests.support.polling import eventually
from tests.support.routed import Routed

_TYPE = "type.googleapis.com/envoy.extensions."


def require_envoy() -> str:
    binary = find_envoy()
    if binary is None:
        raise RuntimeError("no Envoy: set ENVOY_BIN or run `make setup`")
    return binary


@asynccontextmanager
async def platform_envoy(
    *, counts_requests: bool = True, samples: SamplePublisher | None = None
) -> AsyncIterator[Routed]:
    """A router over a log in memory, with a running Envoy. samples: where what is counted goes; None for the
    memory too."""
    with TemporaryDirectory() as folder:
        setup = Routed(
            MemoryLog(),
            EnvoyProcess(require_envoy(), Path(folder)),
            free_port(),
            counts_requests=counts_requests,
            samples=samples or MemorySamples(),
        )
        try:
            await setup.start_router()
            await setup.envoy.start()
            await eventually(setup.is_listening, within_s=30)
            yield setup
        finally:
            await setup.envoy.stop()
            await setup.stop_router()


@asynccontextmanager
async def bare_envoy(upstream_port: int) -> AsyncIterator[tuple[int, int]]:
    """An Envoy with the least static configuration: one listener, one route, one cluster. Port and pid."""
    port = free_port()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bare.json"
        path.write_text(json.dumps(_bare(port, upstream_port)))
        process = await asyncio.create_subprocess_exec(
            require_envoy(), "--config-path", str(path), *OPTIONS, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await eventually(lambda: is_open(port), within_s=20)
            yield port, process.pid
        finally:
            process.kill()
            await process.wait()


@asynccontextmanager
async def load_server() -> AsyncIterator[int]:
    """`benchmarks.load serve` in its own process; its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", "serve", str(port)
    )
    try:
        await eventually(lambda: is_open(port), within_s=20)
        yield port
    finally:
        process.kill()
        await process.wait()


async def call(
    hosts: Iterable[str], port: int, *, seconds: float, connections: int, per_second: float | None = None
) -> Mapping[str, float]:
    """What `benchmarks.load call` says, in a process of its own."""
    arguments = [
        str(port),
        str(seconds),
        str(connections),
        *([] if per_second is None else [str(per_second)]),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", "call", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate("\n".join(hosts).encode())
    if process.returncode:
        raise RuntimeError(f"the load generator ended with status {process.returncode}")
    said: Mapping[str, float] = json.loads(out)
    return said


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mib(pid: int) -> float:
    """Its share of memory."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _bare(port: int, upstream_port: int) -> dict:
    def address(number: int) -> dict:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    manager = {
        "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "replicas", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _TYPE + "filters.http.router.v3.Router"},
            }
        ],
    }
    endpoint = {"endpoint": {"address": address(upstream_port)}}
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "bare",
                    "address": address(port),
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
            ],
            "clusters": [
                {
                    "name": "replicas",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "replicas",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        }
    }
