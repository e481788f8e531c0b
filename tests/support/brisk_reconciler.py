"""The reconciler with a short time between two resyncs, for tests of what only a resync finds.

Takes the reconciler's place by `SPECSTREAM_MODULE_RECONCILER`.
"""

import uvloop

import libs.common.lean  # noqa: F401 - as the reconciler itself has it
from services.reconciler.app import run
from services.reconciler.settings import Settings

BRISK = {"SPECSTREAM_MODULE_RECONCILER": __name__}
"""Settings of a platform that has it."""

RESYNC_S = 1.0

if __name__ == "__main__":
    uvloop.run(run(Settings(resync_seconds=RESYNC_S)))
