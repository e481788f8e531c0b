"""The type of a command against the subject that it came by."""

import pytest

from tests.unit.api.test_command_handler import Stage, a_submission


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    ("verb", "type_"),
    [
        ("submit", "specstream.deployment.delete"),
        ("delete", "specstream.deployment.submit"),
        ("submit", "specstream.command.done"),
    ],
)
async def test_a_type_of_ours_must_be_that_of_the_subject(stage: Stage, verb: str, type_: str):
    data = a_submission() if verb == "submit" else {"deploymentId": "d" * 32}
    answer = await stage.send("1", data, verb=verb, type=type_)
    (issue,) = answer["issues"]
    assert issue["path"] == ["type"]
    assert issue["value"] == type_
    assert issue["allowed"] == [f"specstream.deployment.{verb}"]
    assert await stage.replicas() == []


@pytest.mark.parametrize("type_", ["specstream.deployment.submit", "com.example.build.finished"])
async def test_a_type_of_the_publishers_own_is_taken(stage: Stage, type_: str):
    await stage.send("1", a_submission(2), type=type_)
    assert await stage.replicas() == [2]


async def test_a_type_that_is_no_text_is_answered(stage: Stage):
    """Bytes of a header that are no UTF-8 arrive as halves of surrogate pairs, which no JSON can hold."""
    answer = await stage.send("1", a_submission(), type="\udcff")
    assert [(issue["path"], issue["value"]) for issue in answer["issues"]] == [(["type"], "\\udcff")]
    assert await stage.send("1", a_submission(), type="\udcff") == answer


async def test_an_id_that_is_no_text_is_shown_in_the_answer(stage: Stage):
    answer = await stage.send("\udcff", a_submission())
    assert (answer["commandId"], answer["commandSource"]) == ("\\udcff", "/ci")
