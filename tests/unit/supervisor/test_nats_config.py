from pathlib import Path

import pytest

from libs.common.log.filters import matches_any
from libs.common.metrics.samples import Kind
from libs.common.services import SERVICES
from libs.supervisor import nats_config
from libs.supervisor.settings import ROOT

TEMPLATE = (ROOT / "infra" / "nats" / "nats.conf").read_text()
KEYS = {user: f"U{user.upper()}" for user in (*nats_config.USERS, *nats_config.SYSTEM_USERS)}


def test_every_user_is_in_the_configuration():
    text = nats_config.render(TEMPLATE, Path("/home/of/it"), port=4222, public_keys=KEYS)
    assert all(f'"{key}"' in text for key in KEYS.values())
    assert 'listen: "127.0.0.1:4222"' in text
    assert 'store_dir: "/home/of/it/nats/jetstream"' in text
    assert "sync_interval: always" in text
    assert set(SERVICES) < set(nats_config.USERS)


@pytest.mark.parametrize("user", [user for user in nats_config.USERS if not user.startswith("provision")])
def test_nobody_else_may_touch_streams(user):
    allowed = nats_config.permissions_of(user)
    for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "RESTORE"):
        assert not [
            s for s in allowed.publish if s.startswith(f"$JS.API.STREAM.{verb}") or s in {">", "$JS.>"}
        ]


def test_no_fact_has_two_writers():
    every = [fact for facts in nats_config.WRITES.values() for fact in facts]
    assert len(every) == len(set(every))


def test_samples_of_a_kind_have_one_writer_and_two_services_read_them():
    def may(user, subject):
        return matches_any(nats_config.permissions_of(user).publish, subject)

    users = (*SERVICES, nats_config.COMMANDS_USER)
    writers = {kind: [user for user in users if may(user, f"metrics.{kind}.x")] for kind in Kind}
    assert writers == {Kind.USAGE: ["health"], Kind.REQUESTS: ["router"], Kind.IN_FLIGHT: ["router"]}
    assert {user for user in users if may(user, "$JS.API.STREAM.INFO.METRICS")} == {"api", "autoscaler"}
