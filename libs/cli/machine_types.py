"""Which machine types there are."""

from libs.cli import show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson
from libs.cli.errors import reported_errors


def machine_types(json: AsJson = False) -> None:
    """List what a spec may name as its machine type."""
    with reported_errors(), connect() as client:
        found = list(client.machine_types())
        if json:
            show.as_json(found)
            return
        show.table(
            ("NAME", "CPUS", "MEMORY", "GPUS", "GPU RESOURCE"),
            (
                (m["name"], f"{m['cpus']:g}", f"{m['memoryGib']:g} GiB", m["gpus"] or None, m["gpuResource"])
                for m in found
            ),
            empty="no machine types",
            optional={"GPUS", "GPU RESOURCE"},
        )
