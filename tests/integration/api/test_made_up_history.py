"""Imports that somebody made up, or that were damaged on their way: whatever is in them, the api goes on."""

import json
from pathlib import Path

from tests.support.polling import eventually
from tests.support.rest import a_config, running_api


async def test_an_import_whose_file_was_damaged_meanwhile_has_failed(tmp_path: Path):
    folder = tmp_path / "api" / "import"
    folder.mkdir(parents=True)
    (folder / "events.ndjson").write_bytes(b'{"sequence": 1, "ti')
    outcome = {"state": "storing", "events": 1, "digest": "0", "message": ""}
    (folder / "outcome.json").write_text(json.dumps(outcome))
    async with running_api(tmp_path) as api:

        async def has_failed() -> bool:
            return (await api.get("/v1/log/import"))["state"] == "failed"

        await eventually(has_failed)
        assert not (folder / "events.ndjson").exists()
        await api.submit(a_config())
