"""`make demo`."""

import sys

from libs.cli.demo.platform import DemoFailed, temporary_platform
from libs.cli.demo.screen import Screen
from libs.cli.demo.story import Story


def main() -> int:
    screen = Screen()
    screen.step("start the platform in a temporary home: NATS, Envoy, five services")
    try:
        with temporary_platform() as platform:
            screen.fact(f"healthy: {platform.client.base_url}")
            Story(platform, screen).tell()
    except DemoFailed as error:
        screen.failure(str(error), error.details)
        return 1
    screen.done()
    return 0


if __name__ == "__main__":
    sys.exit(main())
