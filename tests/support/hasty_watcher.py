"""The reconciler or health, which soon takes a watch for dead.

Takes their places by `SPECSTREAM_MODULE_<SERVICE>`. The times are longer than a process may stand still on a
busy machine.
"""

import importlib
import os

import uvloop

from libs.common.cluster.kubernetes import client, informer

HASTY = {f"SPECSTREAM_MODULE_{name}": __name__ for name in ("RECONCILER", "HEALTH")}
"""Settings of a platform that has them."""

SILENT_S = 6.0
BROKEN_FOR_S = 6.0


def main(service: str) -> None:
    client.SILENT_S = SILENT_S  # type: ignore[misc]
    informer.BROKEN_FOR_S = BROKEN_FOR_S  # type: ignore[misc]
    importlib.import_module("libs.common.lean")  # as the service itself has it
    app = importlib.import_module(f"services.{service}.app")
    settings = importlib.import_module(f"services.{service}.settings").Settings()
    uvloop.run(app.run(settings))


if __name__ == "__main__":
    main(os.environ["SPECSTREAM_PROGRAM"])
