"""`python -m services.reconciler`"""

import uvloop

import libs.common.lean  # noqa: F401 - before what it makes lighter
from services.reconciler.app import run
from services.reconciler.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
