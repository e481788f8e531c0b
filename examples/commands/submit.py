"""Submit a spec as another system would: a CloudEvent over NATS, and the answer to it.

    .venv/bin/python examples/commands/submit.py HOME SPEC [ID]

HOME is a platform's home: `run/ports.json` tells where its broker is, `nats/commands.nk` who we are. SPEC is
a file in YAML or JSON, such as `examples/hello/specstream.yaml`.

Prints the answer, `done` or `rejected`, as JSON; exits 1 on a rejection. ID is the command's, made up if
none is given: the same one again has no second effect and gets the first answer, so ask again to be sure.
"""

import asyncio
import json
import sys
import uuid
from pathlib import Path

import nats
import nkeys
import yaml

ANSWER_WITHIN_S = 60

SOURCE = "examples/commands"


async def submit(home: Path, data: bytes, command_id: str, project_id: str = "default") -> dict:
    port = json.loads((home / "run" / "ports.json").read_text())["nats"]
    is_connected = False

    async def on_error(error: Exception) -> None:
        if not is_connected and stays_wrong(error):
            raise error
        print(f"the broker, which is waited for: {str(error) or type(error).__name__}", file=sys.stderr)

    client = await nats.connect(
        f"nats://127.0.0.1:{port}", nkeys_seed=str(home / "nats" / "commands.nk"), error_cb=on_error
    )
    is_connected = True
    answer: asyncio.Future[dict] = asyncio.get_running_loop().create_future()

    async def on_answer(message):
        told = json.loads(message.data)
        # Ids are unique for each source: another system may use the same one.
        if (told["commandSource"], told["commandId"]) == (SOURCE, command_id) and not answer.done():
            answer.set_result({"type": message.subject.rsplit(".", 1)[1], **told})

    for kind in ("done", "rejected"):
        await client.subscribe(f"commands.{project_id}.{kind}", cb=on_answer)
    await client.flush()
    headers = {
        "ce-specversion": "1.0",
        "ce-id": command_id,
        "ce-source": SOURCE,
        "ce-type": "specstream.deployment.submit",
        "content-type": "application/json",
    }
    # An acknowledged publish: from here on the command is the platform's to answer.
    await client.jetstream(timeout=ANSWER_WITHIN_S).publish(
        f"commands.{project_id}.deployment.submit", data, headers=headers
    )
    try:
        return await asyncio.wait_for(answer, ANSWER_WITHIN_S)
    finally:
        await client.close()


def stays_wrong(error: Exception) -> bool:
    """Otherwise somebody was only slow: the broker hangs up on whoever does not say in time who it is."""
    return isinstance(error, ConnectionRefusedError) or "Authorization" in str(error)


def main():
    if len(sys.argv) not in {3, 4}:
        sys.exit(__doc__)
    home, spec, command_id = *sys.argv[1:3], (sys.argv[3:] or [str(uuid.uuid4())])[0]
    try:
        data = json.dumps({"config": yaml.safe_load(Path(spec).read_text())}).encode()
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        sys.exit(f"{spec} cannot be read as a spec: {error}")
    try:
        answer = asyncio.run(submit(Path(home), data, command_id))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not there; HOME is what `make up` prints as home, while it is up")
    except TimeoutError:
        sys.exit(f"no answer within {ANSWER_WITHIN_S} s; the same with the ID {command_id} asks again")
    except (OSError, nats.errors.Error, nkeys.NkeysError) as error:
        sys.exit(f"the broker of {home} cannot be reached with its seed: {error}")
    print(json.dumps(answer, indent=2))
    sys.exit(1 if answer["type"] == "rejected" else 0)


if __name__ == "__main__":
    main()
