"""`python -m services.router`"""

import uvloop

import libs.common.lean  # noqa: F401 - before what it makes lighter
from services.router import app
from services.router.settings import Settings

if __name__ == "__main__":
    uvloop.run(app.run(Settings()))
