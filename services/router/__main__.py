"""`python -m services.router`"""

import uvloop

from services.router import app
from services.router.settings import Settings

if __name__ == "__main__":
    uvloop.run(app.run(Settings()))
