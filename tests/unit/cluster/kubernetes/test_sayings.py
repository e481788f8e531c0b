"""What the kubelet's events tell of a pod: each row of the tables of `sayings`."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.kubernetes.sayings import TOGETHER, condemned, failed_check, parse, why_it_waits

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(reason, message="", *, at=0, first=None, version=1, **more):
    """One that was said so many seconds after the start."""

    def moment(second):
        return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "metadata": {
            "name": f"e-{reason}-{message}",
            "resourceVersion": str(version),
            "creationTimestamp": moment(at),
        },
        "involvedObject": {"kind": "Pod", "name": "r-rep", "uid": "u-1"},
        "reason": reason,
        "message": message,
        "firstTimestamp": moment(at if first is None else first),
        "lastTimestamp": moment(at),
        **more,
    }


def said(*events):
    return [parse(one) for one in events]


def later(seconds):
    return START + timedelta(seconds=seconds)


PULLING = ("Pulling", 'Pulling image "x"')
UNMOUNTED = "Unable to attach or mount volumes: unmounted volumes=[data]: timed out waiting for the condition"
NO_VOLUME = 'MountVolume.SetUp failed for volume "data" : configmap "settings" not found'


@pytest.mark.parametrize(
    ("events", "waits"),
    [
        pytest.param([], None, id="nothing was said"),
        pytest.param([event("Unhealthy", "Readiness probe failed: x")], None, id="only something else"),
        pytest.param([event(*PULLING)], ("pulling", "pulling model:1"), id="it is fetched"),
        pytest.param([event("FailedMount", NO_VOLUME)], ("cannot_start", NO_VOLUME), id="a mount fails"),
        pytest.param(
            [
                event("FailedMount", NO_VOLUME, at=100, first=1),
                event("FailedMount", UNMOUNTED, at=120, first=60),
            ],
            ("cannot_start", NO_VOLUME),
            id="told in two ways by turns",
        ),
        pytest.param(
            [
                event("FailedMount", "the first", at=0),
                event("FailedMount", "another", at=int(TOGETHER.total_seconds()) + 1),
            ],
            ("cannot_start", "another"),
            id="what is mended by now is not told",
        ),
        pytest.param(
            [event("FailedMount", NO_VOLUME, at=1), event(*PULLING, at=2)],
            ("pulling", "pulling model:1"),
            id="it is mounted by now, and fetched",
        ),
        pytest.param(
            [event("FailedMount", NO_VOLUME, at=2, version=8), event(*PULLING, at=2, version=9)],
            ("pulling", "pulling model:1"),
            id="in the same second",
        ),
        pytest.param(
            [
                event(
                    "FailedCreatePodSandBox",
                    'Failed to create pod sandbox: failed to setup network for sandbox "0123456789a": no IP',
                )
            ],
            ("cannot_start", "Failed to create pod sandbox: failed to setup network for sandbox …: no IP"),
            id="without the name of each try",
        ),
    ],
)
def test_why_it_waits(events, waits):
    assert why_it_waits(said(*events), "model:1") == waits


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Readiness probe failed: HTTP probe failed with statuscode: 503", "readiness check: status 503"),
        ("Startup probe failed: HTTP probe failed with statuscode: 500", "startup check: status 500"),
        (
            'Readiness probe failed: Get "http://10.0.0.7:8000/": dial tcp 10.0.0.7:8000: connection refused',
            "readiness check: connection refused",
        ),
        (
            'Readiness probe failed: Get "http://10.0.0.7:8000/": context deadline exceeded (Client.Timeout)',
            "readiness check: no answer in time",
        ),
        (
            "Readiness probe failed: dial tcp 10.0.0.7:8000: i/o timeout",
            "readiness check: no answer in time",
        ),
        ("Readiness probe failed: cat: /tmp/ok: No such file", "readiness check: cat: /tmp/ok: No such file"),
        ("Readiness probe errored and resulted in unknown state: it broke", "readiness check: it broke"),
        ("Readiness probe failed: ", "readiness check: failed"),
    ],
)
def test_what_a_failed_check_has_said(message, told):
    assert failed_check(said(event("Unhealthy", message)), START) == told


def test_a_liveness_check_does_not_make_unready():
    assert failed_check(said(event("Unhealthy", "Liveness probe failed: x")), START) is None


def test_the_newest_failure_is_told_and_none_of_the_process_before():
    first = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500", at=1)
    again = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at=5)
    assert failed_check(said(again, first), later(0)) == "readiness check: status 503"
    assert failed_check(said(first, again), later(6)) is None


KILLING = ("Killing", "Container replica failed liveness probe, will be restarted")


@pytest.mark.parametrize(
    ("events", "check"),
    [
        pytest.param([], None, id="by nobody"),
        pytest.param([event("Killing", "Stopping container replica", at=5)], None, id="deleted"),
        pytest.param([event(*KILLING, at=5)], "liveness check: failed too often", id="condemned"),
        pytest.param(
            [
                event(*KILLING, at=5),
                event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", at=4),
                event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at=5),
            ],
            "liveness check: status 500",
            id="with what the check said",
        ),
        pytest.param(
            [event("Killing", "Container replica failed startup probe, will be restarted", at=5)],
            "startup check: failed too often",
            id="by its startup check",
        ),
        pytest.param([event(*KILLING, at=20)], None, id="another process"),
    ],
)
def test_who_condemned_a_process(events, check):
    assert condemned(said(*events), later(1), later(10)) == check


def test_how_often_and_when_is_no_news():
    first = event("FailedMount", NO_VOLUME, at=1)
    again = event("FailedMount", NO_VOLUME, at=90, first=1, version=2, count=7)
    assert parse(again) == parse(first)
    assert parse(again).last_at == later(90)


def test_the_newer_kind_of_event_is_read():
    newer = event("Pulling")
    newer |= {
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": "2026-01-01T00:00:03.000000Z",
        "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:09.500000Z"},
    }
    read = parse(newer)
    assert (read.first_at, read.last_at) == (later(3), later(9.5))
