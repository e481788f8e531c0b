"""Every subscriber is declared in one place, and publishes nothing that a message asks for."""

import ast

from tests.architecture.sources import found_in, parsed, python_files

CONSUME = "libs/common/bus/consume.py"


def declarations(path):
    return [
        {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "subscriber"
    ]


def test_subscribers_are_declared_in_one_place_and_never_reply():
    """FastStream replies to the subject in the header `reply_to` of a message, under our permissions."""
    declared = found_in(python_files("libs", "services"), declarations)
    assert declared.keys() == {CONSUME}
    assert [options["no_reply"] for options in declared[CONSUME]] == ["True"] * 2
