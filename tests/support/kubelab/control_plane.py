"""A control plane with simulated nodes: etcd, API server, controllers, scheduler, KWOK as the kubelets."""

import base64
import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.free_ports import free_port
from tests.support.kubelab import binary, etcd
from tests.support.kubelab.client import Client
from tests.support.kubelab.nodes import MANAGED, SIMULATED, simulated_nodes
from tests.support.kubelab.parts import Part
from tests.support.kubelab.stages import stages
from tests.support.polling import waited_for

ADMIN = "admin"
AUDITED = "audited"
"""May do everything too."""

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [AUDITED]}, {"level": "None"}],
}
NODE_GRACE_S = 20
"""How long a node may be silent before Kubernetes says so. Its default is 50 s; with less than this one, a
machine that is busy with other tests would be taken for silent."""
_WRITTEN_MEANWHILE = 1_000
"""More than Kubernetes writes by itself between two looks at the newest version."""


class ControlPlane:
    """A cluster of one's own, to be hurt at will.

    directory: everything it writes. It keeps its ports, and its state across the deaths of its parts.
    host: the one address at which all of it listens.
    is_audited: `audit_log` has a line of JSON for each request that is asked by way of `audited_kubeconfig`.
    """

    def __init__(
        self,
        directory: Path,
        program: Path,
        *,
        host: str = "127.0.0.1",
        nodes: Sequence[dict[str, Any]] | None = None,
        is_audited: bool = False,
    ) -> None:
        self.directory = directory
        self.program = program
        self.host = host
        self.kubeconfig = directory / "kubeconfig"
        self.audited_kubeconfig = directory / "kubeconfig-audited"
        self.audit_log = directory / "logs" / "audit.log"
        self._is_audited = is_audited
        self._nodes = simulated_nodes() if nodes is None else nodes
        self._tokens = {user: secrets.token_hex(16) for user in (ADMIN, AUDITED)}
        self._etcd_port, self._peer_port, self._port, self._kubelet_port = (free_port() for _ in range(4))
        self.etcd = self._part("etcd", self._etcd_arguments())
        self.apiserver = self._part("kube-apiserver", self._apiserver_arguments())
        self.controllers = self._part("kube-controller-manager", self._controllers_arguments())
        self.scheduler = self._part("kube-scheduler", self._of_cluster())
        self.kwok = self._part("kwok", self._kwok_arguments())
        self._client: Client | None = None

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self._port}"

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._etcd_port}"

    @property
    def client(self) -> Client:
        """Who may do everything."""
        if self._client is None:
            self._client = Client.of_kubeconfig(self.kubeconfig)
        return self._client

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order in which they end: an API server whose etcd is gone would linger for ever."""
        return self.kwok, self.scheduler, self.controllers, self.apiserver, self.etcd

    def start(self) -> None:
        """Returns when its nodes are Ready and pods can be made."""
        self._write_files()
        self.start_api()
        for part in (self.controllers, self.scheduler, self.kwok):
            part.start()
        for node in self._nodes:
            self.client.create("/api/v1/nodes", node)
        self.controllers.wait_until(self._has_default_account)
        self.kwok.wait_until(self._nodes_are_ready)

    def start_api(self) -> None:
        """Etcd and the API server, also after the death of either. Returns when the latter is ready."""
        self._start_etcd()
        if not self.apiserver.is_alive:
            self.apiserver.start()
        self.apiserver.wait_until(self.client.is_ready)

    def start_anew(self) -> None:
        """The same, after a long absence, with whoever asks it: these would wait on, for up to half a minute
        each, since they have asked in vain for so long. Returns when the API server is ready."""
        others = (self.controllers, self.scheduler, self.kwok)
        for part in others:
            part.kill()
        self.start_api()
        for part in others:
            part.start()

    def _start_etcd(self) -> None:
        if not self.etcd.is_alive:
            self.etcd.start()
            self.etcd.wait_until(lambda: etcd.is_healthy(self.etcd_url))

    def save_state(self) -> None:
        """Keep what etcd has now. The API server is away meanwhile."""
        self._without_api(lambda: shutil.copytree(self._at("etcd"), self._at("saved"), dirs_exist_ok=True))

    def restore_state(self, *, is_advanced: bool = False) -> None:
        """Go back to what was kept, as from a backup. All parts of Kubernetes are started anew, as its own
        instructions want it; nobody else is told.

        is_advanced: new versions are later than all that anybody has seen, as those instructions want it too.
        """
        newest = etcd.revision(self.etcd_url)

        def restore() -> None:
            shutil.rmtree(self._at("etcd"))
            shutil.copytree(self._at("saved"), self._at("etcd"))
            if is_advanced:
                self._start_etcd()
                etcd.advance(self.etcd_url, newest + _WRITTEN_MEANWHILE)

        others = (self.controllers, self.scheduler, self.kwok)
        for part in others:
            part.kill()
        self._without_api(restore)
        for part in others:
            part.start()

    def _without_api(self, do: Callable[[], object]) -> None:
        self.apiserver.kill()
        self.etcd.kill()
        do()
        self.start_api()

    def stop(self) -> None:
        """All of it at once, and its state with it; its logs stay."""
        for part in self.parts:
            part.kill()
        if self._client:
            self._client.close()
        shutil.rmtree(self._at("etcd"), ignore_errors=True)

    def _write_files(self) -> None:
        self._at("pki").mkdir(parents=True)
        self._at("pki").chmod(0o700)
        self._at("logs").mkdir()
        subprocess.run([self.program, "pki", self._at("pki"), self.host, "10.96.0.1"], check=True, timeout=60)
        users = (f"{token},{user},{user},system:masters\n" for user, token in self._tokens.items())
        self._at("pki", "tokens.csv").write_text("".join(users))
        self._at("audit.yaml").write_text(json.dumps(_AUDIT))
        usage = yaml.safe_load_all((binary.SOURCE / "usage.yaml").read_text())
        self._at("kwok.yaml").write_text(yaml.safe_dump_all([*stages(binary.VERSION), *usage]))
        self._write_kubeconfig(self.kubeconfig, ADMIN)
        self._write_kubeconfig(self.audited_kubeconfig, AUDITED)

    def _write_kubeconfig(self, path: Path, user: str) -> None:
        authority = base64.b64encode(self._at("pki", "ca.crt").read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "kubelab",
            "contexts": [{"name": "kubelab", "context": {"cluster": "kubelab", "user": user}}],
            "clusters": [
                {
                    "name": "kubelab",
                    "cluster": {"server": self.server, "certificate-authority-data": authority},
                }
            ],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))

    def _has_default_account(self) -> bool:
        return self.client.ask("GET", "/api/v1/namespaces/default/serviceaccounts/default").status_code == 200

    def _nodes_are_ready(self) -> bool:
        ready = [node for node in self.client.get("/api/v1/nodes")["items"] if is_ready(node)]
        return len(ready) >= len(self._nodes)

    def _at(self, *parts: str) -> Path:
        return self.directory.joinpath(*parts)

    def _part(self, name: str, arguments: list[str]) -> Part:
        return Part(name, [self.program, name, *arguments], self._at("logs", f"{name}.log"))

    def _etcd_arguments(self) -> list[str]:
        peers = f"http://127.0.0.1:{self._peer_port}"
        return [
            f"--data-dir={self._at('etcd')}",
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            # What a crash of the machine would cost is not what tests here are about.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver_arguments(self) -> list[str]:
        pki = self._at("pki")
        # It would list itself as the address of a Service, where loopback is refused.
        reconciler = ["--endpoint-reconciler-type=none"] if self.host.startswith("127.") else []
        audit = [f"--audit-policy-file={self._at('audit.yaml')}", f"--audit-log-path={self.audit_log}"]
        return [
            *(audit if self._is_audited else ()),
            f"--etcd-servers={self.etcd_url}",
            f"--secure-port={self._port}",
            f"--bind-address={self.host}",
            f"--advertise-address={self.host}",
            *reconciler,
            f"--tls-cert-file={pki}/serving.crt",
            f"--tls-private-key-file={pki}/serving.key",
            f"--cert-dir={pki}",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={pki}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            # The rate is what this machine gives: tests beside each other are not to wait in queues.
            "--enable-priority-and-fairness=false",
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
            # The node's name is not in any DNS.
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={pki}/front.crt",
            f"--kubelet-client-key={pki}/front.key",
            f"--requestheader-client-ca-file={pki}/front-ca.crt",
            "--requestheader-allowed-names=",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front.crt",
            f"--proxy-client-key-file={pki}/front.key",
            "--enable-aggregator-routing=true",
        ]

    def _controllers_arguments(self) -> list[str]:
        pki = self._at("pki")
        return self._of_cluster(
            f"--service-account-private-key-file={pki}/sa.key",
            f"--root-ca-file={pki}/ca.crt",
            "--controllers=*,-node-ipam-controller,-cloud-node-lifecycle-controller",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={NODE_GRACE_S}s",
            "--concurrent-deployment-syncs=20",
            "--concurrent-replicaset-syncs=20",
        )

    def _kwok_arguments(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--config={self._at('kwok.yaml')}",
            f"--manage-nodes-with-label-selector={MANAGED}={SIMULATED}",
            "--cidr=10.245.0.0/16",
            f"--node-ip={self.host}",
            f"--node-port={self._kubelet_port}",
            f"--server-address={self.host}:{self._kubelet_port}",
            f"--tls-cert-file={self._at('pki')}/serving.crt",
            f"--tls-private-key-file={self._at('pki')}/serving.key",
            # Renewed at a quarter of it, so a node may miss four times before it counts as silent.
            f"--node-lease-duration-seconds={NODE_GRACE_S}",
        ]

    def _of_cluster(self, *arguments: str) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--leader-elect=false",
            "--secure-port=0",
            *arguments,
        ]


def is_ready(of: dict[str, Any]) -> bool:
    """A node or a pod, by what it says itself."""
    conditions = of.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def wait_for_account(client: Client, namespace: str) -> None:
    """Pods of a new namespace are refused until it has its ServiceAccount."""
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    waited_for(
        lambda: client.ask("GET", account).status_code == 200,
        because=f"the namespace {namespace} has no ServiceAccount",
    )
