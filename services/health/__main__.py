"""`python -m services.health`"""

import uvloop

import libs.common.lean  # noqa: F401 - before what it makes lighter
from services.health.app import run
from services.health.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
