"""The page about endpoints names every error that the edge makes."""

import re
from pathlib import Path

from google.protobuf import json_format

from services.router.routing import Refusal
from services.router.xds.listener import make_listener

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "endpoints.md"


def codes_of(node: object) -> set[str]:
    """Of every body that Envoy makes."""
    match node:
        case dict():
            own = {node["error_code"]} if isinstance(node.get("error_code"), str) else set()
            return own.union(*map(codes_of, node.values()))
        case list():
            return set().union(*map(codes_of, node))
        case _:
            return set()


def test_every_error_code_is_on_the_page_and_no_other():
    listener = json_format.MessageToDict(make_listener(8081, upload_deadline_s=600))
    made = codes_of(listener) | set(Refusal)
    named = set(re.findall(r"^\| (?:[0-9, ]+|any) \| `([a-z_]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert len(made) > 5, "nothing was read"
    assert named == made
