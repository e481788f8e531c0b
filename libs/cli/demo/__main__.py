"""`make demo`."""

import sys

from libs.cli.demo.screen import Screen
from libs.cli.demo.story import Story
from libs.cli.demo.telling import told


def main() -> int:
    screen = Screen()
    opening = "start the platform in a temporary home: NATS, Envoy, five services"
    return told(screen, opening, lambda platform: Story(platform, screen).tell())


if __name__ == "__main__":
    sys.exit(main())
