"""Who has no Kubernetes does not pay for its client."""

import subprocess
import sys

SCRIPT = """
import sys
import libs.common.cluster.opening
found = {name.partition(".")[0] for name in sys.modules}
sys.exit(bool(found & {"kubernetes", "aiohttp"}))
"""


def test_the_client_is_imported_only_where_it_is_asked_for():
    assert subprocess.run([sys.executable, "-c", SCRIPT], check=False).returncode == 0
