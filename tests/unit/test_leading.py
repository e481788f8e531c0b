"""Work is done while its copy leads, and begun anew each time."""

import asyncio

import pytest

from libs.common.leading import ALWAYS, while_leading
from tests.support.leading import Led
from tests.support.polling import eventually, let_others_run


async def test_it_is_begun_anew_and_ended_each_time() -> None:
    leading, told = Led(), list[str]()

    async def work() -> None:
        told.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            told.append("ended")

    task = asyncio.ensure_future(while_leading(leading, work))
    await let_others_run()
    assert told == []
    for _ in range(2):
        leading.lead(True)
        await eventually(lambda: told[-1:] == ["begun"])
        leading.lead(False)
        await eventually(lambda: told[-1:] == ["ended"])
    leading.lead(True)
    await eventually(lambda: told[-1:] == ["begun"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == ["begun", "ended"] * 3


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await while_leading(ALWAYS, work)
