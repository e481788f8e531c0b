"""What may be the domain of the endpoints, and how what may not is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from libs.common.domain import ALLOWED, MOST_CHARACTERS, endpoint_host, parse_domain
from libs.common.ids import new_id
from libs.supervisor.errors import CannotStart
from libs.supervisor.settings import from_environment
from services.api.settings import Settings as ApiSettings
from services.router.settings import Settings as RouterSettings

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 27])


@pytest.mark.parametrize("text", ["localhost", "apps.example.com", "a.b", "7.xn--bcher-kva", LONGEST])
def test_a_name_of_the_dns_is_one(text: str) -> None:
    assert parse_domain(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Example.com", id="a capital"),
        pytest.param("my_apps.example.com", id="an underscore"),
        pytest.param("-a.example.com", id="a hyphen first"),
        pytest.param("a-.example.com", id="a hyphen last"),
        pytest.param("a..example.com", id="an empty part"),
        pytest.param("example.com.", id="the dot of the root"),
        pytest.param(".example.com", id="a dot first"),
        pytest.param("example.com:80", id="a port"),
        pytest.param("http://example.com", id="an address"),
        pytest.param("10.0.0.1", id="what clients take for an IP address"),
        pytest.param("a" * 64 + ".com", id="a part too long"),
        pytest.param(LONGEST + "b", id="too long beside the label of a deployment"),
        pytest.param("bücher.de", id="not as the DNS has it"),
        pytest.param("example.com\n", id="a line"),
    ],
)
def test_what_is_none_is_refused_with_what_is_allowed_by_whoever_reads_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [f"SPECSTREAM_DOMAIN: {text!r} is not {ALLOWED}"]
    with pytest.raises(CannotStart) as refused:
        from_environment({"SPECSTREAM_DOMAIN": text})
    assert str(refused.value).splitlines() == said
    monkeypatch.setenv("SPECSTREAM_DOMAIN", text)
    for read in (lambda: ApiSettings(api_key="k"), lambda: RouterSettings(envoy_folder=Path("/e"))):
        with pytest.raises(ValidationError) as wrong:
            read()
        assert [str(error["ctx"]["error"]) for error in wrong.value.errors()] == said


def test_a_host_of_the_longest_domain_is_still_a_host() -> None:
    assert len(LONGEST) == MOST_CHARACTERS
    assert len(endpoint_host(new_id(), LONGEST)) == 253
