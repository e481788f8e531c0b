"""What Prometheus is told to read when copies and an edge are taken out again."""

import json

from libs.common.services import COPIED, SERVICES
from tests.support.free_ports import free_port
from tests.support.live_platform import LivePlatform
from tests.support.polling import eventually


def processes(platform: LivePlatform) -> dict[str, str]:
    """The service of each that is listed."""
    listed = json.loads((platform.home / "run/prometheus-targets.json").read_text())
    return {each["labels"]["process"]: each["labels"]["service"] for each in listed}


async def test_what_is_taken_out_is_not_watched_any_more(own_platform: LivePlatform) -> None:
    """Also where it lives on until `up` ends it, since nobody was there to do so before."""
    platform = own_platform
    usual = {service: service for service in SERVICES}
    further = {f"{service}-2": service for service in (*COPIED, "router")}
    platform.environment["SPECSTREAM_METRICS"] = "prometheus"
    several = {"SPECSTREAM_COPIES": "2", "SPECSTREAM_MORE_EDGE_PORTS": str(free_port())}
    platform.environment |= several
    await platform.start_and_wait()
    # A platform is ready without its second copies.
    await eventually(lambda: processes(platform) == usual | further, because="not everybody is listed")
    platform.send("supervisor")
    for name in several:
        del platform.environment[name]
    await platform.start_and_wait()
    assert processes(platform) == usual
    await platform.stop()
    del platform.environment["SPECSTREAM_METRICS"]
    await platform.start_and_wait()
    assert processes(platform) == {}
