"""Follow the events as another system would: each once, in their order, and on where it left off.

    .venv/bin/python examples/events/follow.py HOME [AFTER]

HOME is a platform's home: `run/ports.json` tells where its broker is, `nats/commands.nk` who we are. AFTER is
the sequence of the last event that is known already; without it all there are come first.

Prints a line of JSON for each event. Whoever keeps the newest `sequence` and gives it as AFTER next time
misses nothing and gets nothing twice. Ctrl-C ends it.
"""

import asyncio
import json
import sys
from pathlib import Path

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

SILENCE_S = 60


async def follow(home: Path, after: int) -> None:
    port = json.loads((home / "run" / "ports.json").read_text())["nats"]
    client = await nats.connect(f"nats://127.0.0.1:{port}", nkeys_seed=str(home / "nats" / "commands.nk"))
    subscription = await client.jetstream().subscribe(
        "events.>",
        stream="EVENTS",
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1),
    )
    while True:
        try:
            message = await subscription.next_msg(timeout=SILENCE_S)
        except nats.errors.TimeoutError:
            continue
        told = {name: message.headers[f"ce-{name}"] for name in ("type", "subject", "time", "actor")}
        print(
            json.dumps(
                {"sequence": message.metadata.sequence.stream, **told, "data": json.loads(message.data)}
            ),
            flush=True,
        )


def main():
    try:
        home, after = Path(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])
    except (IndexError, ValueError):
        sys.exit(__doc__)
    try:
        asyncio.run(follow(home, after))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not there; HOME is what `make up` prints as home, while it is up")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
