"""Follow the events as another system would: each once, in their order, and on where it left off.

    .venv/bin/python examples/events/follow.py HOME [AFTER]

HOME is a platform's home: `run/ports.json` tells where its broker is, `nats/commands.nk` who we are. AFTER is
the sequence of the last event that is known already; without it all there are come first.

Prints a line of JSON for each event. Whoever keeps the newest `sequence` and gives it as AFTER next time
misses nothing and gets nothing twice. A broker that goes away or is slow is waited for, however long; one
that is not there at first, or does not take us, ends it with status 1. Ctrl-C ends it.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import nats
import nkeys
from nats.js.api import ConsumerConfig, DeliverPolicy

SILENCE_S = 60


async def follow(home: Path, after: int) -> None:
    port = json.loads((home / "run" / "ports.json").read_text())["nats"]
    is_connected = False

    async def on_error(error: Exception) -> None:
        if not is_connected and stays_wrong(error):
            raise error
        print(f"the broker, which is waited for: {str(error) or type(error).__name__}", file=sys.stderr)

    client = await nats.connect(
        f"nats://127.0.0.1:{port}",
        nkeys_seed=str(home / "nats" / "commands.nk"),
        error_cb=on_error,
        max_reconnect_attempts=-1,
    )
    is_connected = True
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


def stays_wrong(error: Exception) -> bool:
    """Otherwise somebody was only slow: the broker hangs up on whoever does not say in time who it is."""
    return isinstance(error, ConnectionRefusedError) or "Authorization" in str(error)


def main():
    try:
        home, after = Path(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])
    except (IndexError, ValueError):
        sys.exit(__doc__)
    if after < 0:
        sys.exit(f"AFTER: {after} is no sequence (allowed: 0 or more)")
    try:
        asyncio.run(follow(home, after))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not there; HOME is what `make up` prints as home, while it is up")
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, nats.errors.Error, nkeys.NkeysError) as error:
        sys.exit(f"the broker of {home} cannot be reached with its seed: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
