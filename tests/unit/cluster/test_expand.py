"""`$(NAME)` as Kubernetes expands it."""

import pytest

from libs.common.cluster.local.shim.expand import LONGEST, expand, expand_command, expand_environment

VALUES = {"PORT": "8000", "A": "alpha", "NESTED": "$(A)", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain", "plain", id="text without a dollar stays"),
        pytest.param("", "", id="nothing stays nothing"),
        pytest.param("$(A)", "alpha", id="a reference becomes the value"),
        pytest.param("--port=$(PORT)!", "--port=8000!", id="a reference inside text"),
        pytest.param("$(A)$(PORT)", "alpha8000", id="two references side by side"),
        pytest.param("[$(EMPTY)]", "[]", id="an empty value is a value"),
        pytest.param("$(NONE)", "$(NONE)", id="an unknown name stays as it is"),
        pytest.param("$()", "$()", id="an empty name stays as it is"),
        pytest.param("$$(A)", "$(A)", id="an escaped reference loses one dollar"),
        pytest.param("$$$(A)", "$alpha", id="an escaped dollar before a reference"),
        pytest.param("$$$$(A)", "$$(A)", id="two escaped dollars"),
        pytest.param("$$", "$", id="an escaped dollar alone"),
        pytest.param("$", "$", id="a dollar at the end"),
        pytest.param("a$", "a$", id="a dollar after text at the end"),
        pytest.param("$A", "$A", id="a shell's reference is none"),
        pytest.param("${A}", "${A}", id="a shell's braces are none"),
        pytest.param("$(A", "$(A", id="an open reference stays"),
        pytest.param("$(A $(PORT)", "$(A $(PORT)", id="a reference ends at the first parenthesis"),
        pytest.param("$($(A))", "$($(A))", id="references do not nest"),
        pytest.param("$(NESTED)", "$(A)", id="what was put in is not expanded again"),
        pytest.param("ä$é(A)", "ä$é(A)", id="other characters after a dollar stay"),
    ],
)
def test_expand(text, expected):
    assert expand(text, VALUES) == expected


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param([("URL", ":$(PORT)")], {"URL": ":8000"}, id="an entry may refer to what is given"),
        pytest.param([("B", "b"), ("C", "$(B)c")], {"B": "b", "C": "bc"}, id="and to an earlier entry"),
        pytest.param([("C", "$(B)c"), ("B", "b")], {"B": "b", "C": "$(B)c"}, id="but not to a later one"),
        pytest.param([("B", "$(B)")], {"B": "$(B)"}, id="nor to itself"),
    ],
)
def test_expand_environment(env, expected):
    assert expand_environment({"PORT": "8000"}, env) == {"PORT": "8000", **expected}


@pytest.mark.parametrize(
    "env",
    [
        pytest.param(
            [("E0", "x" * 100), *((f"E{n}", f"$(E{n - 1})" * 10) for n in range(1, 30))],
            id="ten times longer with every entry",
        ),
        pytest.param(
            [("E0", "x" * LONGEST), *((f"E{n}", "$(E0)") for n in range(1, 10_000))],
            id="the longest value ten thousand times",
        ),
    ],
)
def test_an_environment_no_process_can_start_with_is_not_built(env):
    with pytest.raises(ValueError, match="grow"):
        expand_environment({}, env)


def test_a_command_no_process_can_start_with_is_not_built():
    values = {"E0": "x" * LONGEST}
    assert expand_command(["a", "$(E0)"], values) == ["a", "x" * LONGEST]
    with pytest.raises(ValueError, match="grow"):
        expand_command(["$(E0)x$(E0)"], values)
    with pytest.raises(ValueError, match="grow"):
        expand_command(["$(E0)"] * 10_000, values)
