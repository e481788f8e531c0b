"""A replica uses the checkout that it was started from, wherever the home is."""

import shutil
import sys
from pathlib import Path

import pytest

from libs.common.cluster.local.cluster import LocalCluster
from tests.support.clusters import DEPLOYMENT, LocalWorld, run_of, template, workload
from tests.support.executables import an_executable
from tests.support.log_lines import read_lines
from tests.support.polling import eventually

ROOT = Path(__file__).resolve().parents[3]


def make_checkout(checkout: Path) -> Path:
    """The shim, the links to the interpreter and an example, as a checkout has them; the shim's main."""
    libs = checkout / "libs/common"
    shutil.copytree(ROOT / "libs/common/cluster/local/shim", libs / "cluster/local/shim")
    for module in ("back_off.py", "durable.py"):
        shutil.copy(ROOT / "libs/common" / module, libs)
    (checkout / "app.py").write_text("print('runs', flush=True); import time; time.sleep(1000)")
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (checkout / ".venv/bin/python").symlink_to(Path(sys.executable).resolve())
    return checkout / "libs/common/cluster/local/shim/main.py"


@pytest.mark.parametrize(
    ("checkout", "home"),
    [
        pytest.param("checkout", "checkout/.specstream", id="the home is in the checkout"),
        pytest.param("home/checkout", "home", id="the checkout is in the home"),
        pytest.param("checkout", "home", id="they are side by side"),
    ],
)
async def test_the_checkout_can_be_used_wherever_the_home_is(tmp_path, checkout, home):
    checkout = tmp_path / checkout
    main = make_checkout(checkout)
    world = LocalWorld(tmp_path / home / "replicas")
    python = f"{checkout}/.venv/bin/python"
    launcher = an_executable(
        tmp_path / "python", "for last; do :; done", f'exec {python} -S -E -s -I {main} "$last"'
    )
    world.cluster = LocalCluster(world.root, grace_seconds=5, python=launcher)
    try:
        of = template(python, f"{checkout}/app.py")
        await world.cluster.apply(workload(run_of(1, of=of)), fence=1)

        async def runs():
            return [line.message for line in await read_lines(world.cluster, DEPLOYMENT)] == ["runs"]

        await eventually(runs)
    finally:
        await world.cluster.shutdown(grace_seconds=0)
