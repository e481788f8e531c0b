"""What a replica leaves behind is deleted, whatever it made of it."""

import subprocess
import sys
from pathlib import Path

from libs.common.cluster.local.shim.gone import delete

DIG = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
    open("file", "w").close()
"""


def test_a_tree_too_deep_to_be_named_is_deleted(tmp_path: Path):
    left = tmp_path / "left"
    left.mkdir()
    (left / "link").symlink_to("/etc")
    subprocess.run([sys.executable, "-c", DIG, left], check=True)
    delete(str(left))
    assert not left.exists()
    assert Path("/etc/passwd").exists()


def test_what_is_gone_already_is_no_trouble(tmp_path: Path):
    delete(f"{tmp_path}/nothing")
    assert not any(tmp_path.iterdir())
