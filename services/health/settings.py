"""What health is told."""

from libs.common.bus.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing of its own yet: checks and their numbers come with each spec."""
