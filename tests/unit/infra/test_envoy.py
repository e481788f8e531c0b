"""Envoy's bootstrap and the router go by the same names and the same times."""

import json

import yaml

from libs.common.envoy_folder import ADMIN_SOCKET, STARTED, XDS_SOCKET
from libs.supervisor import envoy_config
from libs.supervisor.settings import ROOT
from services.router.measuring.requests import RHYTHM
from services.router.xds.counting import PREFIX

TEMPLATE = (ROOT / "infra" / "envoy" / "bootstrap.json").read_text()


def test_the_bootstrap_names_the_sockets_of_the_folder():
    bootstrap = json.loads(envoy_config.render(TEMPLATE, token="t", heap_mib=64, open_files=1024))
    (cluster,) = bootstrap["static_resources"]["clusters"]
    (place,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = place["lb_endpoints"]
    assert bootstrap["admin"]["address"]["pipe"]["path"] == ADMIN_SOCKET
    assert endpoint["endpoint"]["address"]["pipe"]["path"] == XDS_SOCKET


def test_the_router_knows_how_often_envoy_pushes_and_sweeps():
    bootstrap = json.loads(envoy_config.render(TEMPLATE, token="t", heap_mib=64, open_files=1024))
    assert bootstrap["stats_flush_interval"] == f"{RHYTHM.push_s:.0f}s"
    assert bootstrap["stats_eviction_interval"] == f"{RHYTHM.sweep_s:.0f}s"
    patterns = bootstrap["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert {"prefix": f"{PREFIX}."} in patterns


def test_who_starts_envoy_names_the_start():
    assert envoy_config.started("abc") == f"{STARTED}=abc"
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["envoy"]
    assert f"{envoy_config.START_VARIABLE}={STARTED}=" in " ".join(compose["command"])
    assert "misc:critical" in envoy_config.OPTIONS
