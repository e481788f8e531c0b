"""The Python SDK of Specstream."""

from libs.client.client import Client, Json
from libs.client.errors import ApiError, ClientError, Unreachable

__all__ = ["ApiError", "Client", "ClientError", "Json", "Unreachable"]
