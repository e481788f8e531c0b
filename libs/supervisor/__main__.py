"""`python -m libs.supervisor up|down|prepare`: the platform's process, without the command line's weight."""

import argparse
import os
import sys

from libs.supervisor.errors import CannotStart
from libs.supervisor.settings import from_environment


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m libs.supervisor", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="run the platform in the foreground")
    verbs.add_parser("down", help="stop everything of the home")
    preparing = verbs.add_parser("prepare", help="write keys and configurations, start nothing")
    preparing.add_argument("--nats", type=int, required=True, metavar="PORT")
    arguments = parser.parse_args()
    try:
        settings = from_environment(os.environ)
    except CannotStart as error:
        for line in str(error).splitlines():
            print(f"specstream: {line}", file=sys.stderr)
        return 2
    if arguments.verb == "down":
        from libs.supervisor.ending import down  # noqa: PLC0415 - without all that `up` needs

        return down(settings)
    from libs.supervisor.commands import prepare, up  # noqa: PLC0415

    return up(settings) if arguments.verb == "up" else prepare(settings, nats=arguments.nats)


if __name__ == "__main__":
    sys.exit(main())
