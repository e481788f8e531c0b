"""What a call can end in besides an answer.

ClientError
├── ApiError      the api answered with an error
└── Unreachable   nobody answered, or somebody else
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The root of what this package raises."""


class ApiError(ClientError):
    """An answer of 400 or above: `status`, the API's `code` and `message`, its `issues` and `details`."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", "INTERNAL_SERVER_ERROR"))
        self.message = str(body.get("message", f"HTTP {status}"))
        self.issues: list[dict[str, Any]] = list(body.get("issues") or [])
        self.details: dict[str, Any] = dict(body.get("details") or {})
        super().__init__(self.message)


class Unreachable(ClientError):
    """The api cannot be reached at `url`."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"cannot reach the api at {url}: {reason}")
