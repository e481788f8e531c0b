"""`python -m services.reconciler`"""

import uvloop

from services.reconciler.app import run
from services.reconciler.settings import Settings

if __name__ == "__main__":
    uvloop.run(run(Settings()))
