"""`python -m libs.common.log`: make the streams and durables that there have to be."""

import asyncio
import sys

import libs.common.lean  # noqa: F401 - before what it makes lighter
from libs.common.log.provision import CannotProvision, ProvisionSettings, main

if __name__ == "__main__":
    try:
        asyncio.run(main(ProvisionSettings()))
    except CannotProvision as refused:
        sys.exit(f"provision: {refused}")
