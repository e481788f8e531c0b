"""A spec is never longer than what starts a process, nor than what an event can hold."""

import pytest

from libs.common.events.catalogue import encode
from libs.common.events.deployment import GitHeaders, SpecRegistered
from libs.common.spec.rules import MAX_ARGUMENTS_BYTES, MAX_SPEC_BYTES
from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import VALID, changed, dotted, issues

LONGEST = "x" * 131_071
BROKER_TAKES = 1024 * 1024


def env_of(*values: str) -> list[dict[str, str]]:
    return [{"name": f"V{number}", "value": value} for number, value in enumerate(values)]


def test_one_argument_is_as_long_as_linux_takes_and_no_longer() -> None:
    parse_spec(changed("command", [LONGEST]))
    (issue,) = issues(changed("command", [LONGEST + "x"]))
    assert dotted(issue) == "command.0"
    assert issue.allowed == "at most 131071 bytes, the name included"


def test_a_check_is_no_longer_than_a_command() -> None:
    check = "healthChecks.liveness.exec.command"
    parse_spec(changed(check, [LONGEST]))
    (issue,) = issues(changed(check, [LONGEST + "x"]))
    assert dotted(issue) == f"{check}.0"
    (issue,) = issues(changed(check, [LONGEST] * 4))
    assert (dotted(issue), issue.allowed) == (check, f"at most {MAX_ARGUMENTS_BYTES} bytes")


def test_one_variable_is_as_long_as_linux_takes_and_no_longer() -> None:
    parse_spec(changed("env", env_of("x" * (131_071 - len("V0=")))))
    (issue,) = issues(changed("env", env_of("x" * (131_072 - len("V0=")))))
    assert dotted(issue) == "env.0.value"


def test_bytes_are_counted_and_not_characters() -> None:
    (issue,) = issues(changed("command", ["☕" * 43_691]))
    assert dotted(issue) == "command.0"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("command", [LONGEST] * 4, id="arguments"),
        pytest.param("command", ["x"] * 60_000, id="many short arguments, each with its pointer"),
        pytest.param("env", env_of(*["x" * 131_060] * 4, "x" * 200), id="variables"),
    ],
)
def test_all_of_them_together_are_bounded(field: str, value: object) -> None:
    (issue,) = issues(changed(field, value))
    assert dotted(issue) == field
    assert "command and env together take" in issue.message
    assert issue.allowed == f"at most {MAX_ARGUMENTS_BYTES} bytes"


def test_one_replica_cannot_take_the_ports_of_all() -> None:
    parse_spec(changed("resources.ports", list(range(1, 129))))
    (issue,) = issues(changed("resources.ports", list(range(1, 130))))
    assert (dotted(issue), issue.message) == ("resources.ports", "must have at most 128 values")
    assert issue.allowed == "a list of 1 to 128 values"


def test_a_whole_spec_is_bounded_as_it_is_stored() -> None:
    # A quote is one byte of an argument, and two of the event.
    raw = changed("command", ['"' * 131_071] * 3)
    (issue,) = issues(raw)
    assert (dotted(issue), issue.allowed) == ("", f"at most {MAX_SPEC_BYTES} bytes")
    assert "takes 7" in issue.message


def test_the_longest_spec_fits_into_its_event() -> None:
    spec = parse_spec(changed("command", ['"' * 131_071, '"' * 131_071, "x" * 131_071, "x" * 100_000]))
    git = GitHeaders(**dict.fromkeys(GitHeaders.model_fields, "☕" * 256))
    fact = SpecRegistered(spec_id="s" * 32, run_id="r" * 32, spec=spec, git=git)
    assert len(encode(fact)) < BROKER_TAKES - 128 * 1024


def test_no_nul_anywhere() -> None:
    for path in ("command.0", "env.0.value", "env.0.name", "name", "image"):
        (issue,) = issues(changed(path, "a\x00b"))
        assert dotted(issue) == path


def test_what_is_usual_is_accepted() -> None:
    assert parse_spec(VALID).command == ("serve",)
