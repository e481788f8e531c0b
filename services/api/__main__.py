"""`python -m services.api`"""

import uvloop

import libs.common.lean  # noqa: F401 - before what it makes lighter
from services.api.app import run
from services.api.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
