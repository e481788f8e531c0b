"""Envoy's bootstrap and the router go by the same names."""

import json

from libs.common.envoy_folder import ADMIN_SOCKET, XDS_SOCKET
from libs.supervisor import envoy_config
from libs.supervisor.settings import ROOT

TEMPLATE = (ROOT / "infra" / "envoy" / "bootstrap.json").read_text()


def test_the_bootstrap_names_the_sockets_of_the_folder():
    bootstrap = json.loads(envoy_config.render(TEMPLATE, token="t", heap_mib=64, open_files=1024))
    (cluster,) = bootstrap["static_resources"]["clusters"]
    (place,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = place["lb_endpoints"]
    assert bootstrap["admin"]["address"]["pipe"]["path"] == ADMIN_SOCKET
    assert endpoint["endpoint"]["address"]["pipe"]["path"] == XDS_SOCKET
