"""One trace tells a change: from the REST call through the event to the replica's first readiness."""

import pytest

from tests.support.live_platform import LivePlatform, hello
from tests.support.otlp_sink import OtlpSink, SpanSeen, otlp_sink
from tests.support.polling import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@pytest.fixture
async def sink():
    async with otlp_sink() as sink:
        yield sink


async def test_a_change_is_one_trace_from_the_call_to_the_first_readiness(sink, tmp_path):
    platform = LivePlatform(tmp_path / "home", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
    try:
        await platform.start_and_wait()
        answer = await platform.ask(
            "POST",
            "/deployments",
            json={"config": hello("traced"), "projectId": "default"},
            headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
        )
        assert answer.status_code == 200
        await platform.settled(answer.json()["deploymentId"])

        def ready() -> list[SpanSeen]:
            return _path(sink, "health")

        path = await eventually(ready, because=f"no such trace in {sink.spans}")
    finally:
        await platform.close()
    services = list(dict.fromkeys(span.service for span in path))
    assert services == ["api", "reconciler", "health"]
    assert path[0].parent_id == CALLER
    assert "metrics" in sink.exported


def _path(sink: OtlpSink, service: str) -> list[SpanSeen]:
    """The spans of the trace from its root to one of this service; empty if they do not connect yet."""
    spans = {span.span_id: span for span in sink.spans if span.trace_id == TRACE}
    for leaf in spans.values():
        path = [leaf]
        while path[0].parent_id in spans:
            path.insert(0, spans[path[0].parent_id])
        if leaf.service == service and path[0].parent_id == CALLER:
            return path
    return []
