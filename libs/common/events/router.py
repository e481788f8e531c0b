"""Facts of which routers there are. Their id is the router's name; they belong to no project.

The first router belongs to every platform, so nothing is said of it.
"""

from enum import StrEnum
from typing import ClassVar

from libs.common.events.fact import Fact


class RouterFact(Fact):
    aggregate: ClassVar[str] = "router"


class LeaveReason(StrEnum):
    """Why a router left; closed."""

    TAKEN_OUT = "taken_out"
    """The settings of the platform name it no longer; it and its Envoy were stopped."""


class RouterJoined(RouterFact):
    """Its Envoy may send requests to replicas from now on: none that is told to leave from now on is stopped
    before this router has withdrawn it."""


class RouterLeft(RouterFact):
    """It and its Envoy have ended: nobody waits for its word any more."""

    reason: LeaveReason


class RouterNamed(RouterFact):
    """It had left, and the settings of the platform name it again: it may join, should it be running already.
    One that starts joins without this."""
