"""What the services of a running platform show to Prometheus."""

import json

import httpx

from tests.support.live_platform import LivePlatform
from tests.support.plain_http import plain_client
from tests.support.polling import eventually


def targets(platform: LivePlatform) -> dict[str, str]:
    listed = json.loads((platform.home / "run/prometheus-targets.json").read_text())
    return {each["labels"]["process"]: each["targets"][0] for each in listed}


async def read(platform: LivePlatform, service: str) -> str:
    token = (platform.home / "run/metrics-token").read_text()
    answer = await answer_of(platform, service, Authorization=f"Bearer {token}")
    return answer.raise_for_status().text


async def answer_of(platform: LivePlatform, service: str, **headers: str) -> httpx.Response:
    given: list[httpx.Response] = []

    async def is_given() -> bool:
        try:
            async with plain_client() as client:
                given.append(
                    await client.get(f"http://{targets(platform)[service]}/metrics", headers=headers)
                )
        except httpx.TransportError:  # a service that stood still closes what waited for it
            return False
        return True

    await eventually(is_given, because=f"{service} shows no metrics")
    return given[-1]
