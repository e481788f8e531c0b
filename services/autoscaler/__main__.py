"""`python -m services.autoscaler`"""

import uvloop

import libs.common.lean  # noqa: F401 - before what it makes lighter
from services.autoscaler.app import run
from services.autoscaler.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
