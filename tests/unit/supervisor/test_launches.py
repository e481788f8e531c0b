"""By its launch a process is known again: only what was started by this home's supervisor has it."""

from libs.supervisor.home import Home
from libs.supervisor.ports import Ports
from libs.supervisor.preparation import prepare
from libs.supervisor.settings import SupervisorSettings

PORTS = Ports(8080, 8081, 4222)


def launches(home: Home) -> dict[str, str]:
    programs = prepare(SupervisorSettings(home=home.path), home, PORTS)
    return {name: program.launch for name, program in programs.items()}


def test_no_launch_follows_from_what_is_no_secret(tmp_path):
    """A replica reads the checkout, knows where its home is, and may call its environment what it likes."""
    home = Home(tmp_path / "home")
    home.create()
    own = launches(home)
    assert launches(home) == own
    for secret in (home.api_key, *(home.path / "nats").glob("*.nk"), home.envoy() / "token"):
        secret.unlink()
    assert {name for name, guessed in launches(home).items() if guessed == own[name]} == set()
