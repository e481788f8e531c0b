"""`python -m services.health`"""

import uvloop

from services.health.app import run
from services.health.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
