"""Why reads do not show something yet. All of it passes."""

from libs.common.errors import Temporary


class NotVisible(Temporary):
    """The change is durable, but the read models did not show it in time."""


class Rebuilding(Temporary):
    """The read models were made of another history than the log's, and are made anew from it."""


class FarBehind(NotVisible):
    """There is more to take into the read models than a request can wait for."""


class NotProjected(Temporary):
    """An event could not be taken into the read models."""
