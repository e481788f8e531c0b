"""Private parts of libraries are used in one place, for what they save, and only of the exact version that
is known to have them."""

import re
import tomllib
from importlib.metadata import version

from tests.architecture.sources import ROOT, found_in, python_files

LINK = "libs/common/log/jetstream/link.py"


def uses(path):
    return len(re.findall(r"# noqa: SLF001", path.read_text()))


def test_only_the_link_of_the_log_uses_private_parts_of_a_library():
    """ruff refuses every other use. `Row._mapping` is public, whatever its name says: it is documented."""
    assert found_in(python_files("libs", "services"), uses) == {
        LINK: 4,
        "services/api/readmodels/replay.py": 1,
    }


def test_the_version_whose_private_parts_are_used_is_pinned_and_installed():
    """The client writes each of an event's fifteen headers by itself, which is a quarter of the CPU time of
    an append. So the link writes the block of headers at once, and hands the client what its own `publish`
    would: by `_send_command`, then `_flush_pending` if nothing else is about to flush. And it puts its own
    reading of headers in the place of the client's `_parse_header_lines`, which is half of the CPU time of
    reading an event. Another version may do this otherwise without a word. Before it is taken, its `publish`
    is compared with `Link.publish`."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [pin] = [one for one in pyproject["project"]["dependencies"] if one.startswith("nats-py")]
    assert pin == f"nats-py=={version('nats-py')}" == "nats-py==2.16.0"
