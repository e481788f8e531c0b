"""The compose file cannot be run by these tests; what it names must at least be there."""

import re

import pytest
import yaml

from libs.common.bus.settings import ServiceSettings
from libs.common.log.provision import ProvisionSettings
from libs.common.services import SERVICES
from libs.supervisor import nats_config
from libs.supervisor.settings import ROOT, SupervisorSettings
from services.api.settings import Settings as ApiSettings
from services.autoscaler.settings import Settings as AutoscalerSettings
from services.health.settings import Settings as HealthSettings
from services.reconciler.settings import Settings as ReconcilerSettings
from services.router.settings import Settings as RouterSettings

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

SETTINGS: dict[str, type[ServiceSettings]] = {
    "api": ApiSettings,
    "reconciler": ReconcilerSettings,
    "health": HealthSettings,
    "autoscaler": AutoscalerSettings,
    "router": RouterSettings,
    "provision": ProvisionSettings,
}


def variables(settings: type[ServiceSettings]) -> set[str]:
    return {
        str(field.validation_alias or f"SPECSTREAM_{name.upper()}")
        for name, field in settings.model_fields.items()
    }


def test_every_process_is_there():
    assert {"nats", "envoy", *SERVICES} <= set(COMPOSE)


@pytest.mark.parametrize("service", SETTINGS)
def test_every_variable_is_a_setting(service):
    assert set(COMPOSE[service]["environment"]) <= variables(SETTINGS[service])


@pytest.mark.parametrize("service", SETTINGS)
def test_every_setting_without_a_default_is_given(service):
    needed = {
        f"SPECSTREAM_{name.upper()}"
        for name, field in SETTINGS[service].model_fields.items()
        if field.is_required()
    }
    assert needed | {"SPECSTREAM_NATS_SEED_FILE"} <= set(COMPOSE[service]["environment"])


@pytest.mark.parametrize("service", SETTINGS)
def test_its_key_is_one_that_prepare_makes(service):
    seed = COMPOSE[service]["environment"]["SPECSTREAM_NATS_SEED_FILE"]
    assert seed == f"/var/lib/specstream/nats/{service}.nk"
    assert service in nats_config.USERS


def test_prepare_is_told_what_the_supervisor_knows():
    known = {f"SPECSTREAM_{name.upper()}" for name in SupervisorSettings.__dataclass_fields__}
    assert set(COMPOSE["prepare"]["environment"]) <= known


@pytest.mark.parametrize("service", COMPOSE)
def test_what_it_waits_for_is_there(service):
    assert set(COMPOSE[service].get("depends_on", {})) <= set(COMPOSE)


def test_the_image_is_built_from_what_is_there():
    dockerfile = (ROOT / COMPOSE["processes"]["build"]["dockerfile"]).read_text()
    for copied in re.findall(r"^COPY (.+) \S+$", dockerfile, flags=re.MULTILINE):
        assert all((ROOT / path).exists() for path in copied.split())
