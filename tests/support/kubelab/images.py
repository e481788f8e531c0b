"""Images without an engine or a registry: a folder becomes the archive that a container runtime imports."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


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


def lay_out_python(tree: Path, *packages: str) -> None:
    """This very interpreter with its standard library, packages with what those need, and all libraries."""
    home = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = (home / "bin" / version).resolve()
    (tree / "usr/local/bin").mkdir(parents=True)
    (tree / "tmp").mkdir()
    shutil.copy(binary, tree / "usr/local/bin/python")
    library = tree / "usr/local/lib" / version
    shutil.copytree(
        home / "lib" / version,
        library,
        ignore=shutil.ignore_patterns(
            "test", "site-packages", "config-*", "idlelib", "__pycache__", "ensurepip"
        ),
    )
    for package in _with_what_they_need(packages):
        for file in package.files or ():
            # What is outside is a program for the machine's own interpreter.
            if ".." not in file.parts and "__pycache__" not in file.parts:
                inside = library / "site-packages" / file
                inside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(package.locate_file(file), inside)
    for linked in sorted(_libraries([tree / "usr/local/bin/python", *library.rglob("*.so")])):
        inside = tree / linked.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(linked, inside)


def _with_what_they_need(packages: Sequence[str]) -> Iterable[Distribution]:
    found: dict[str, Distribution] = {}
    wanted = list(packages)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        needs = map(Requirement, found[name].requires or ())
        here = (one for one in needs if one.marker is None or one.marker.evaluate({"extra": ""}))
        wanted += [canonicalize_name(one.name) for one in here]
    return found.values()


def _libraries(parts: Sequence[Path]) -> set[str]:
    told = subprocess.run(["ldd", *parts], capture_output=True, text=True, check=False, timeout=60).stdout
    return set(re.findall(r"(?:=> |\t)(/\S+) \(", told))


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
