"""How often the process that runs the tests looks for garbage.

Nearly all that collecting thousands of tests makes stays. To look through it after every 700 objects is a
quarter of the CPU of collecting them, in each worker.
"""

import gc

import pytest

gc.set_threshold(20_000, 10, 10)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
