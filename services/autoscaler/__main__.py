"""`python -m services.autoscaler`"""

import uvloop

from services.autoscaler.app import run
from services.autoscaler.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
