"""What people read of decisions, and what `scale` says of the number that it changes."""

import json

import httpx
import pytest

from libs.cli.decisions import show_decisions, show_explained
from libs.cli.deployments import said_of_the_floor

DECISION = {
    "sequence": 17,
    "dtCreated": "2026-01-01T12:00:00.000000Z",
    "kind": "scaling",
    "type": "ReplicasDecided",
    "actor": "service:autoscaler",
    "sentence": "cpu 84 % of 50 → 3 × 84/50 = 5.04 → 6; ceiling 5 → 5",
    "data": {},
}
EXPLAINED = {
    "id": "a" * 32,
    "name": "demo",
    "specId": "b" * 32,
    "replicas": 5,
    "why": "5 was decided",
    "ready": 3,
    "bounds": {"minimum": 1, "maximum": 5},
    "policy": {},
    "reasoning": {
        "at": "2026-01-01T12:00:30.000000Z",
        "decision": None,
        "replicas": 5,
        "reason": "unchanged",
        "sentence": "cpu 48 % of 50 → 5",
        "heldUntil": "2026-01-01T12:05:00.000000Z",
        "unknown": [{"metric": "memory", "reason": "no_samples", "since": "2026-01-01T11:59:00.000000Z"}],
        "conditions": [],
        "data": {},
    },
    "waiting": [{"replicas": 2, "state": "pending", "message": "no node has room"}],
    "decisions": [DECISION],
}


def test_explained_is_arithmetic_and_says_what_is_held_unknown_and_waited_for(capsys):
    show_explained(EXPLAINED)
    lines = capsys.readouterr().out.splitlines()
    told = {line.split("  ")[0]: line.split("  ")[-1] for line in lines if line and not line.startswith(" ")}
    assert told["replicas"].strip() == "5: 5 was decided"
    assert told["waiting"].strip() == "2 pending: no node has room"
    assert told["bounds"].strip() == "1 to 5"
    assert told["now"].strip() == "cpu 48 % of 50 → 5"
    assert "no samples" in told["unknown"]
    assert "held until" in told
    assert f"  {DECISION['sentence']}" in lines


def test_the_reasoning_of_a_past_moment_says_of_which_decision_it_is(capsys):
    show_explained({**EXPLAINED, "reasoning": {**EXPLAINED["reasoning"], "decision": 17}})
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("by decision #17")]
    assert line.endswith("cpu 48 % of 50 → 5")


def test_without_bounds_or_reasoning_nothing_is_said_of_them(capsys):
    show_explained({**EXPLAINED, "bounds": None, "reasoning": None, "waiting": [], "decisions": []})
    out = capsys.readouterr().out
    assert "bounds" not in out
    assert "nothing was decided by load" in out


def test_decisions_are_told_with_who_and_where(capsys):
    show_decisions([DECISION], empty="none")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("scaling  service:autoscaler  #17")
    assert second.strip() == DECISION["sentence"]


def test_more_decisions_than_anybody_can_count_are_all_of_them(command_at):
    def answer(request):
        found = [DECISION] if request.url.path.endswith("/decisions") else []
        return httpx.Response(200, json={"items": found, "hasMore": False})

    said = command_at(answer)("decisions", "d" * 32, "--limit", str(10**20), "--json")
    assert json.loads(said.stdout) == [DECISION]


@pytest.mark.parametrize(
    ("autoscaling", "replicas", "said"),
    [
        (None, 2, None),
        ({"enabled": False, "maxReplicas": 5}, 2, None),
        ({"enabled": True, "maxReplicas": 5}, 0, None),
        (
            {"enabled": True, "maxReplicas": 5},
            2,
            "autoscaling is on: 2 is the fewest there are, and load decides up to 5",
        ),
    ],
)
def test_scale_says_that_it_changes_the_floor(autoscaling, replicas, said):
    resources = {"replicas": replicas}
    if autoscaling is not None:
        resources["autoscaling"] = autoscaling
    assert said_of_the_floor({"resources": resources}) == said
