"""The home's secrets: one nkey for each NATS user, the API key, and the token between the router and Envoy.
Made on first start, then kept."""

import hashlib
import os
import re
import secrets

import nkeys

from libs.common import envoy_folder
from libs.supervisor.errors import CannotStart
from libs.supervisor.home import Home, write_private
from libs.supervisor.settings import SupervisorSettings
from libs.supervisor.users import PROVISION_USER


def public_key(home: Home, user: str) -> str:
    """The public nkey of a NATS user, whose seed lies in `nats/<user>.nk`; made if there is none yet.

    Raises CannotStart when the file holds no seed.
    """
    path = home.seed(user)
    if not path.exists():
        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        write_private(path, seed.decode())
    try:
        pair = nkeys.from_seed(path.read_bytes().strip())
        return str(pair.public_key.decode())
    except (nkeys.NkeysError, ValueError) as error:
        raise CannotStart(f"{path} holds no nkey seed; move it away to have a new one made") from error


def launch_secret(home: Home) -> str:
    """What is in the marks of this home's processes and only this home can know; the same at each start."""
    return hashlib.sha256(b"launch of " + home.seed(PROVISION_USER).read_bytes()).hexdigest()


def api_key(home: Home, settings: SupervisorSettings) -> str:
    """The key that REST clients present: the given one, or the home's own.

    Raises CannotStart when the home's file is empty.
    """
    if settings.api_key is not None:
        return settings.api_key
    if not home.api_key.exists():
        write_private(home.api_key, secrets.token_urlsafe(32) + "\n")
    key = home.api_key.read_text().strip()
    if not key:
        raise CannotStart(f"{home.api_key} is empty; remove it to have a new key made")
    return key


def envoy_token(home: Home, number: int = 1) -> str:
    """What opens the sockets between a router and its Envoy.

    Raises CannotStart when the home's file does not hold what we made.
    """
    path = home.envoy(number) / envoy_folder.TOKEN
    if not path.exists():
        write_private(path, secrets.token_hex(32) + "\n")
    token = path.read_text().strip()
    if not re.fullmatch("[0-9a-f]{64}", token):
        raise CannotStart(f"{path} holds no token; remove it to have a new one made")
    return token
