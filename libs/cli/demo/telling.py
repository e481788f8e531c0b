"""What every demo does around its story: a platform of its own, and an end that says how it went."""

from collections.abc import Callable

from libs.cli.demo.platform import DemoFailed, Platform, temporary_platform
from libs.cli.demo.screen import Screen


def told(
    screen: Screen,
    opening: str,
    tell: Callable[[Platform], None],
    *,
    machine_types: str = "",
    **settings: str,
) -> int:
    """The exit status. opening: the first step's title. machine_types, settings: of the platform."""
    screen.step(opening)
    try:
        with temporary_platform(machine_types=machine_types, **settings) as platform:
            screen.fact(f"healthy: {platform.client.base_url}")
            tell(platform)
    except DemoFailed as error:
        screen.failure(str(error), error.details)
        return 1
    screen.done()
    return 0
