"""Who we are to the API server, and how that is renewed: what tells it may run out or be replaced any time.

A kubeconfig may name a command that gives a token or a certificate for a while, and files that somebody
rotates; inside a cluster the token is a file that the kubelet rotates. So what was read is read again before
it runs out, every minute where a file holds it, and whenever the server does not take it.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from libs.common.clock import Clock, Ticks
from libs.common.errors import ClusterUnavailable

REREAD_S: Final = 60.0
"""Between two readings of what may have been rotated."""
BEFORE_END_S: Final = 60.0
"""So long before its end a command's token is asked for anew."""
_COMMAND_TAKES_S: Final = 60.0
_NO_LIMIT: Final = 0
"""Of connections, as aiohttp has it, where None is 100: a watch and each log that is followed hold one for as
long as they last, and nothing else may have to wait for them."""


class BadKubeconfig(ClusterUnavailable):
    """What the setting names is no kubeconfig. The message says why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """As they were read at one time."""

    configuration: Configuration
    fingerprint: tuple[object, ...]
    """Equal for two that can share connections: they differ in their token at most."""
    due_at: float | None
    """By the monotonic clock: when they are to be read again."""

    async def headers(self) -> dict[str, str]:
        settings = await self.configuration.auth_settings()
        token = settings.get("BearerToken")
        return {} if token is None or not token["value"] else {token["key"]: token["value"]}


async def load(kubeconfig: Path | None, *, clock: Clock, ticks: Ticks) -> Credentials:
    """From the kubeconfig, or where there is none from the pod that we are in.

    Raises BadKubeconfig, and ClusterUnavailable where it is one and gives no credentials.
    """
    configuration = Configuration(
        connection_pool_maxsize=_NO_LIMIT,
        # Otherwise ~/.netrc is read, in a thread, and a proxy is looked for before each single request.
        client_session_kwargs={"trust_env": False},
    )
    configuration.api_key = {}
    if kubeconfig is None:
        return _inside(configuration, ticks)
    user = read_user(kubeconfig)
    try:
        async with asyncio.timeout(_COMMAND_TAKES_S):
            loader = await load_kube_config(
                str(kubeconfig), client_configuration=configuration, persist_config=False
            )
    except ConfigException as error:
        raise _refuse(kubeconfig, str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise _refuse(kubeconfig, f"{type(error).__name__}: {error}") from error
    if "exec" in user and not configuration.api_key and configuration.cert_file is None:
        command = user["exec"].get("command") if isinstance(user["exec"], Mapping) else user["exec"]
        raise ClusterUnavailable(
            f"the command {command!r} that {kubeconfig} names as users[].user.exec gives no credentials"
        )
    due_at = None
    if "exec" in user:
        ends_at: datetime | None = getattr(loader, "exec_plugin_expiry", None)
        if ends_at is not None:
            due_at = ticks() + max(1.0, (ends_at - clock()).total_seconds() - BEFORE_END_S)
    elif user.keys() & {"tokenFile", "client-certificate", "client-key"}:
        due_at = ticks() + REREAD_S
    return _credentials(configuration, due_at)


def read_user(kubeconfig: Path) -> Mapping[str, Any]:
    """The user of the current context; empty where it needs none. Raises BadKubeconfig."""
    try:
        config = yaml.safe_load(kubeconfig.read_text())
    except OSError as error:
        raise _refuse(kubeconfig, error.strerror or str(error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refuse(kubeconfig, f"it is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, Mapping):
        raise _refuse(kubeconfig, f"it is {type(config).__name__}, not a mapping")
    for key in ("clusters", "contexts", "current-context"):
        if not config.get(key):
            raise _refuse(kubeconfig, f"it has no {key}")
    with suppress(TypeError, KeyError, AttributeError):  # the loader says what is wrong with such a one
        contexts = {each["name"]: each["context"] for each in config["contexts"]}
        users = {each["name"]: each["user"] for each in config.get("users") or ()}
        found = users.get(contexts[config["current-context"]].get("user"))
        return found if isinstance(found, Mapping) else {}
    return {}


def _inside(configuration: Configuration, ticks: Ticks) -> Credentials:
    load_in: Callable[..., None] = load_incluster_config
    try:
        load_in(client_configuration=configuration, try_refresh_token=False)
    except (ConfigException, OSError) as error:
        raise BadKubeconfig(
            f"SPECSTREAM_KUBECONFIG is not set, and this is no pod of a cluster: {error}; "
            "allowed: the path of a kubeconfig"
        ) from error
    return _credentials(configuration, ticks() + REREAD_S)


def _credentials(configuration: Configuration, due_at: float | None) -> Credentials:
    configuration.proxy = configuration.proxy or _proxy_of_the_environment(configuration.host)
    return Credentials(configuration, _fingerprint(configuration), due_at)


def _proxy_of_the_environment(server: str) -> str | None:
    """As kubectl takes it: what HTTPS_PROXY names, but for the servers of NO_PROXY."""
    to = urlsplit(server)
    return None if proxy_bypass(to.hostname or "") else getproxies().get(to.scheme)


def _fingerprint(configuration: Configuration) -> tuple[object, ...]:
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    try:
        contents = tuple(None if path is None else Path(path).read_bytes() for path in files)
    except OSError as error:
        raise ClusterUnavailable(f"a file that the kubeconfig names: {error}") from error
    return (
        configuration.host,
        configuration.verify_ssl,
        configuration.tls_server_name,
        configuration.proxy,
        contents,
    )


def _refuse(kubeconfig: Path, why: str) -> BadKubeconfig:
    return BadKubeconfig(
        f"SPECSTREAM_KUBECONFIG is '{kubeconfig}': {why}; allowed: a kubeconfig with a current context"
    )
