"""Submit a spec as another system would: a CloudEvent over NATS, and the event that answers it.

    python examples/commands/submit.py HOME SPEC.json

HOME is a platform's home: `run/ports.json` tells where its broker is, `nats/commands.nk` who we are.
Prints the event (or the rejection) that the command led to, as JSON; exits 1 on a rejection.
"""

import asyncio
import json
import sys
import uuid
from pathlib import Path

import nats

ANSWER_WITHIN_S = 15


async def submit(home: Path, config: dict, project_id: str = "default") -> dict:
    port = json.loads((home / "run" / "ports.json").read_text())["nats"]
    client = await nats.connect(f"nats://127.0.0.1:{port}", nkeys_seed=str(home / "nats" / "commands.nk"))
    command_id = str(uuid.uuid4())
    answer: asyncio.Future[dict] = asyncio.get_running_loop().create_future()

    async def on_event(message):
        if message.headers.get("ce-causationid") == command_id and not answer.done():
            answer.set_result(
                {
                    "type": message.headers["ce-type"],
                    "subject": message.subject,
                    "causationId": command_id,
                    "data": json.loads(message.data),
                }
            )

    async def on_rejection(message):
        rejection = json.loads(message.data)
        if rejection.get("commandId") == command_id and not answer.done():
            answer.set_result({"type": "rejected", **rejection})

    await client.subscribe(f"events.{project_id}.deployment.*.SpecRegistered", cb=on_event)
    await client.subscribe(f"commands.{project_id}.rejected", cb=on_rejection)
    await client.flush()
    headers = {
        "ce-specversion": "1.0",
        "ce-id": command_id,
        "ce-source": "examples/commands",
        "ce-type": "specstream.deployment.submit",
        "content-type": "application/json",
    }
    # An acknowledged publish: from here on the command is the platform's to answer.
    await client.jetstream().publish(
        f"commands.{project_id}.deployment.submit", json.dumps({"config": config}).encode(), headers=headers
    )
    try:
        return await asyncio.wait_for(answer, ANSWER_WITHIN_S)
    finally:
        await client.close()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    answer = asyncio.run(submit(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
    print(json.dumps(answer, indent=2))
    sys.exit(1 if answer["type"] == "rejected" else 0)


if __name__ == "__main__":
    main()
