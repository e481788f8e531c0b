"""The disk under the read models alone is full: the api says so, loses nothing and catches up."""

import asyncio

from libs.common.log.memory import MemoryLog
from tests.support.polling import PATIENCE_S, eventually
from tests.support.rest import a_config, running_api


async def test_the_api_says_so_and_catches_up_by_itself(tmp_path, make_disk):
    disk = make_disk(tmp_path / "home" / "api", mib=4)
    async with running_api(tmp_path / "home", MemoryLog(source="specstream/api")) as running:
        projector = running.api.projector
        await running.submit(a_config(name="before"))
        projector.visible_timeout_s = 5.0
        disk.fill()
        answers = []
        for number in range(60):
            body = {"config": a_config(name=f"d-{number}"), "projectId": "default"}
            answers.append(
                await asyncio.wait_for(running.http.post("/v1/deployments", json=body), PATIENCE_S)
            )
            if answers[-1].status_code != 200 and "full" in projector.progress.problem:
                break
        assert answers[-1].status_code == 503
        assert "full" in projector.progress.problem
        assert not projector.progress.is_ready
        assert "full" in (await running.http.get("/v1/deployments")).text
        stored = await running.api.log.last_sequence()
        assert projector.sequence < stored, "it was acknowledged by the log before it could be shown"
        disk.empty()
        await eventually(lambda: projector.sequence == stored)
        assert projector.progress.problem == ""
        shown = await running.get("/v1/deployments", limit=120)
        names = {item["name"] for item in shown["items"]}
        assert names == {"before", *(f"d-{number}" for number in range(len(answers)))}
