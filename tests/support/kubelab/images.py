"""Images without an engine or a registry: a folder becomes the archive that a container runtime imports."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_image(
    archive: Path,
    name: str,
    tree: Path,
    *,
    entrypoint: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    user: str = "",
) -> None:
    """One layer that holds the tree, owned by root; the same tree makes the same image.

    name: `host/repository:tag`, as a pod names it. user: as whom it runs; root without one.
    """
    layer = _layer(tree)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(entrypoint),
                "Env": [f"{key}={value}" for key, value in (env or {}).items()],
                **({"User": user} if user else {}),
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created_by": "specstream tests"}],
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = _json([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}])
    with tarfile.open(archive, "w") as out:
        for member, content in (("layer.tar", layer), (config_name, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


def lay_out_python(tree: Path, *files: Path) -> None:
    """This very interpreter with its standard library and what it is linked with, and files under `/app`."""
    home = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = (home / "bin" / version).resolve()
    (tree / "usr/local/bin").mkdir(parents=True)
    (tree / "tmp").mkdir()
    shutil.copy(binary, tree / "usr/local/bin/python")
    shutil.copytree(
        home / "lib" / version,
        tree / "usr/local/lib" / version,
        ignore=shutil.ignore_patterns(
            "test", "site-packages", "config-*", "idlelib", "__pycache__", "ensurepip"
        ),
    )
    parts = [binary, *(home / "lib" / version / "lib-dynload").glob("*.so")]
    linked = subprocess.run(["ldd", *parts], capture_output=True, text=True, check=True, timeout=60).stdout
    for library in sorted(set(re.findall(r"(?:=> |\t)(/\S+) \(", linked))):
        inside = tree / library.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, inside)
    (tree / "app").mkdir()
    for file in files:
        shutil.copy(file, tree / "app")


def _layer(tree: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for path in sorted(tree.rglob("*")):
            info = layer.gettarinfo(str(path), arcname=str(path.relative_to(tree)))
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            if info.isfile():
                with path.open("rb") as content:
                    layer.addfile(info, content)
            else:
                layer.addfile(info)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
