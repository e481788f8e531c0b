"""The examples as one image: their specs run as they are written, with only `image` changed."""

import shutil
import tempfile
from pathlib import Path

from tests.support.kubelab.images import lay_out_python, write_image

EXAMPLES = "kubelab.local/examples:1"

FOLDER = Path("/usr/examples")
"""In the image: beside the interpreter's, as in a checkout, which the commands of the specs rely on."""

SOURCE = Path(__file__).resolve().parents[3] / "examples"


def write_examples(archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        tree = Path(scratch)
        lay_out_python(tree, "fastapi", "uvicorn")
        shutil.copytree(SOURCE, tree / FOLDER.relative_to("/"))
        write_image(
            archive,
            EXAMPLES,
            tree,
            entrypoint=["/usr/local/bin/python", "-I", str(FOLDER / "hello" / "app.py")],
            env={"LD_LIBRARY_PATH": _library_folder(tree), "HOST": "0.0.0.0"},
            user="65534",
        )


def _library_folder(tree: Path) -> str:
    """Where the interpreter's own library came to be, if it has one."""
    found = next(tree.rglob("libpython*.so*"), tree / "lib" / "none")
    return f"/usr/local/lib:/{found.parent.relative_to(tree)}"
