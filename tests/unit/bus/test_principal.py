import pytest

from libs.common.bus.principal import principal_of


@pytest.mark.parametrize("verb", ["submit", "delete"])
def test_only_other_systems_can_publish_a_command(verb):
    claimed = {"ce-source": "key:default", "Nats-Request-Info": '{"user": "api"}', "ce-actor": "key:default"}
    assert principal_of(f"commands.default.deployment.{verb}", claimed) == "commands"


@pytest.mark.parametrize(
    "subject",
    [
        "commands.default.rejected",
        "commands.default.deployment.update",
        "commands.default.deployment.submit.now",
        "events.default.deployment.submit",
        "commands",
        "",
    ],
)
def test_what_is_no_command_has_no_principal(subject):
    with pytest.raises(ValueError, match="not the subject of a command"):
        principal_of(subject, {})
