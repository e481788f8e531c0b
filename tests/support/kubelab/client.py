"""The little of the Kubernetes API that the lab and its tests ask for, as plain JSON over HTTP."""

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any

import httpx
import yaml

Json = dict[str, Any]

MERGE = "application/merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Client:
    """One identity at one API server. Answers other than 2xx raise httpx.HTTPStatusError, but for `ask`."""

    def __init__(self, server: str, trusted: ssl.SSLContext, token: str | None) -> None:
        self.server = server
        self._trusted = trusted
        self._http = httpx.Client(
            base_url=server,
            verify=trusted,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=30,
            trust_env=False,
        )

    @classmethod
    def of_kubeconfig(cls, path: Path) -> "Client":
        """By its current context, whose user has a token or a certificate."""
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        trusted = ssl.create_default_context(cadata=_inline(cluster, "certificate-authority", path).decode())
        if "client-certificate" in user or "client-certificate-data" in user:
            _present_certificate(trusted, user, path)
        elif "token" not in user:
            raise ValueError(
                f"{path}: the user {context['user']} has neither `token` nor `client-certificate`"
            )
        return cls(cluster["server"], trusted, user.get("token"))

    def as_one_with(self, token: str) -> "Client":
        """The same API server, asked by somebody else; only of an identity that is a token itself."""
        return Client(self.server, self._trusted, token)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "",
        accept: str = "",
        **params: Any,
    ) -> httpx.Response:
        asked = {"content-type": content_type, "accept": accept}
        headers = {name: value for name, value in asked.items() if value}
        return self._http.request(method, path, json=body, headers=headers, params=params)

    def get(self, path: str, **params: Any) -> Json:
        return self._checked(self.ask("GET", path, **params))

    def column(self, path: str, name: str, **params: Any) -> list[str]:
        """What `kubectl get` shows of each object in a column, such as `Ready`: a small part of them."""
        table = self._checked(self.ask("GET", path, accept=TABLE, includeObject="None", **params))
        position = [column["name"] for column in table["columnDefinitions"]].index(name)
        return [str(row["cells"][position]) for row in table["rows"]]

    def text(self, path: str, **params: Any) -> str:
        return self.ask("GET", path, **params).raise_for_status().text

    def create(self, path: str, body: Json) -> Json:
        return self._checked(self.ask("POST", path, body))

    def patch(self, path: str, body: Any, *, content_type: str = MERGE, **params: Any) -> Json:
        return self._checked(self.ask("PATCH", path, body, content_type=content_type, **params))

    def delete(self, path: str, *, grace_s: int | None = None) -> None:
        """Returns before it is gone; what is gone already is as well."""
        options = {} if grace_s is None else {"gracePeriodSeconds": grace_s}
        answer = self.ask("DELETE", path, {"propagationPolicy": "Background", **options})
        if answer.status_code != 404:
            self._checked(answer)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._http.close()

    def _checked(self, answer: httpx.Response) -> Json:
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}",
                request=answer.request,
                response=answer,
            )
        return answer.json()


def _named(items: list[Json], name: str) -> Json:
    return next(item for item in items if item["name"] == name)


def _inline(of: Json, key: str, path: Path) -> bytes:
    """What the file that is named there holds, if it is not there itself."""
    if f"{key}-data" in of:
        return base64.b64decode(of[f"{key}-data"])
    return (path.parent / of[key]).read_bytes()


def _present_certificate(to: ssl.SSLContext, user: Json, path: Path) -> None:
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(_inline(user, "client-certificate", path) + b"\n" + _inline(user, "client-key", path))
        pair.flush()
        to.load_cert_chain(pair.name)
