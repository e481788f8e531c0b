"""Work on many events, which the api leaves to a process of its own. It says the same as threads of the api,
and whatever becomes of the process, the api goes on.

Here a log of any length counts as a long one.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from libs.common.events.envelope import Recorded
from libs.common.log.export import import_
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from services.api.archive import importer, preparation, verification, work
from services.api.archive.importer import EVENTS, PREPARED, ImportState
from services.api.archive.own_process import OwnProcess, started
from services.api.archive.preparation import Preparation
from services.api.archive.verification import verify_all
from services.api.readmodels.database import writer_beside
from services.api.readmodels.prepared import Prepared
from tests.support.children import children
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api


@pytest.fixture(autouse=True)
def every_log_is_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verification, "SEVERAL", 0)
    monkeypatch.setattr(importer, "SEVERAL", 0)


def at_work(what: str) -> list[int]:
    return children("self", work.__name__, what)


async def an_export(tmp_path: Path) -> bytes:
    async with running_api(tmp_path / "first") as api:
        await api.http.post("/v1/projects", json={"name": "team"})
        for number in range(20):
            await api.submit(a_config(f"d{number}"))
            await api.submit(a_config(f"d{number}", replicas=2))
        return (await api.http.get("/v1/log/export")).content


async def test_a_log_that_holds_is_found_to_hold(api: RunningApi):
    for number in range(12):
        await api.submit(a_config(f"d{number}"))
    answer = await api.get("/v1/log/verify")
    assert answer == {"ok": True, "events": 36, "aggregates": 24}
    assert not list(api.api.exported_head.parent.glob(".*")), "what verifying needed is gone"


async def test_what_is_shown_otherwise_is_named(api: RunningApi):
    await api.submit(a_config())
    async with api.api.engine.begin() as connection:
        await connection.execute(text("UPDATE deployments SET name = 'forged'"))
    found = await api.get("/v1/log/verify")
    assert not found["ok"]
    assert found["reason"].startswith("deployments ")
    assert found["reason"].endswith(" differs from a replay in name")


@pytest.mark.parametrize("place", [0, 30, 119], ids=["first", "in the middle", "last"])
async def test_an_event_that_was_changed_is_named(tmp_path: Path, place: int):
    log = ForgedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path, log) as api:
        for number in range(40):
            await api.submit(a_config(f"d{number}"))
        log.forged = place + 1
        found = await api.get("/v1/log/verify")
    assert (found["ok"], found["sequence"]) == (False, place + 1)
    assert "hash" in found["reason"]


async def test_a_log_that_ends_too_early_is_named(api: RunningApi):
    await api.submit(a_config())
    async with api.api.engine.begin() as connection:
        await connection.execute(text("UPDATE checkpoint SET sequence = 7"))
    found = await api.get("/v1/log/verify")
    assert found == {"ok": False, "sequence": 3, "reason": "the log ends here, before the checkpoint at 7"}


async def test_what_comes_meanwhile_is_compared_too(tmp_path: Path):
    """The read models may be further when they are compared than when it began."""
    log = GrowingLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path, log) as api:
        await api.submit(a_config())
        log.before_the_end = lambda: api.submit(a_config("late"))
        assert (await api.get("/v1/log/verify"))["ok"]
        assert len((await api.get("/v1/deployments"))["items"]) == 2


async def test_who_leaves_takes_the_process_along(api: RunningApi):
    await api.submit(a_config())
    found = verify_all(api.api.archive, api.api.engine, head=None, folder=api.api.exported_head.parent)
    async with aclosing(found):
        await anext(found)
        await eventually(lambda: at_work("verify"))
    assert not at_work("verify")
    assert not list(api.api.exported_head.parent.glob(".*"))


async def test_a_process_that_was_killed_is_said_and_the_next_one_verifies(tmp_path: Path):
    log = GrowingLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path, log) as api:
        await api.submit(a_config())

        async def kill() -> None:
            await eventually(lambda: at_work("verify"))  # it has no command line at once
            (pid,) = at_work("verify")
            os.kill(pid, signal.SIGKILL)

        log.before_the_end = kill
        answer = await api.http.get("/v1/log/verify")
        assert answer.status_code == 503
        assert "ended with status -9" in answer.json()["message"]
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_read_models_of_an_import_are_those_that_were_prepared(tmp_path: Path):
    export = await an_export(tmp_path)
    log = WatchedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path / "second", log) as api:
        assert await api.take_in(export) == 82
        assert not log.given, "no event was taken in one by one"
        assert (await api.get("/v1/log/verify")) == {"ok": True, "events": 82, "aggregates": 42}
        assert len((await api.get("/v1/deployments", limit=100))["items"]) == 20
        assert not (tmp_path / "second" / "api" / "import" / PREPARED).exists()
        assert not at_work("prepare")
        await api.submit(a_config("new"))
        assert (await api.get("/v1/log/verify"))["ok"]
    async with running_api(tmp_path / "second", log) as api:
        assert log.given == [], "the checkpoint is that of this very log"
        assert len((await api.get("/v1/deployments", limit=100))["items"]) == 21


async def test_read_models_are_prepared_while_the_file_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importer, "TELL_EVERY", 10)
    export = await an_export(tmp_path)
    log = WatchedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path / "second", log) as api:

        async def content() -> AsyncIterator[bytes]:
            *first, last = export.splitlines(keepends=True)
            yield b"".join(first)
            await eventually((tmp_path / "second" / "api" / "import" / PREPARED).exists)
            yield last

        assert (await api.http.post("/v1/log/import", content=content())).json()["events"] == 82
        assert not log.given, "no event was taken in one by one"
        assert (await api.get("/v1/log/verify"))["ok"]


@pytest.mark.parametrize("is_cut", [False, True], ids=["its head does not fit", "it is cut off"])
async def test_nothing_is_left_of_a_long_file_that_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cut: bool
):
    monkeypatch.setattr(importer, "TELL_EVERY", 10)
    *events, head = (await an_export(tmp_path)).splitlines(keepends=True)
    log = WatchedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path / "second", log) as api:
        folder = tmp_path / "second" / "api" / "import"

        async def content() -> AsyncIterator[bytes]:
            yield b"".join(events)
            await eventually((folder / PREPARED).exists)
            if not is_cut:
                yield head.replace(b'"events":82', b'"events":83')

        answer = await api.http.post("/v1/log/import", content=content())
        assert answer.status_code == 400
        assert "line 84" in answer.json()["message"]
        assert not at_work("prepare")
        assert list(folder.iterdir()) == []
        assert await log.last_sequence() == 0
        assert (await api.get("/v1/log/import"))["state"] == "none"
        await api.take_in(b"".join([*events, head]))
        assert not log.given
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_what_is_kept_of_a_file_that_was_not_whole_goes_at_the_next_start(tmp_path: Path):
    folder = tmp_path / "api" / "import"
    folder.mkdir(parents=True)
    (folder / EVENTS).write_bytes(b"a part of a file")
    async with running_api(tmp_path) as api:
        assert not (folder / EVENTS).exists()
        await api.submit(a_config())


async def test_without_prepared_read_models_they_are_made_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export = await an_export(tmp_path)

    @asynccontextmanager
    async def killed_at_once(module: str, *arguments: str) -> AsyncIterator[OwnProcess]:
        """Whoever looks for it now and then may find that it has ended already."""
        async with started(module, *arguments) as process:
            await eventually(lambda: at_work("prepare"))
            process._process.kill()
            yield process

    monkeypatch.setattr(preparation, "started", killed_at_once)
    log = WatchedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path / "second", log) as api:
        assert await api.take_in(export) == 82
        assert len(log.given) == 82
        assert (await api.get("/v1/log/verify"))["ok"]
        assert not (tmp_path / "second" / "api" / "import" / PREPARED).exists()


async def test_prepared_read_models_of_another_history_are_not_taken_over(tmp_path: Path):
    """As where the log was exchanged while they were made."""
    one, other = await an_export(tmp_path / "one"), await an_export(tmp_path / "other")
    log = WatchedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path / "third", log) as api:
        events, made = tmp_path / EVENTS, tmp_path / PREPARED
        events.write_bytes(b"".join(other.splitlines(keepends=True)[1:-1]))
        preparation = Preparation(events, made)
        preparation.holds(events.stat().st_size)
        preparation.is_whole()
        prepared = await preparation.prepared
        await preparation.end()
        assert prepared is not None
        assert prepared.end.sequence == 82
        offered: asyncio.Future[Prepared | None] = asyncio.get_running_loop().create_future()
        offered.set_result(prepared)
        await import_(log, lines_of(one))
        api.api.projector.offered.make(offered)
        assert not await api.api.projector.offered.take_over(writer_beside(api.api.engine), log, after=0)
        assert not prepared.file.exists()
        await eventually(lambda: api.api.projector.sequence == 82)
        assert (await api.get("/v1/log/verify"))["ok"]


async def lines_of(export: bytes) -> AsyncIterator[bytes]:
    for line in export.splitlines():
        yield line


async def test_an_import_goes_on_after_a_kill_and_prepares_anew(tmp_path: Path):
    export = await an_export(tmp_path)
    async with running_api(tmp_path / "second") as api:
        events = export.splitlines(keepends=True)[1:-1]
        await api.take_in(export)
        outcome = (tmp_path / "second" / "api" / "import" / "outcome.json").read_text()
        stored = [event async for event in api.api.archive.read_raw()]
    folder = tmp_path / "third" / "api" / "import"
    folder.mkdir(parents=True)
    (folder / EVENTS).write_bytes(b"".join(events))
    (folder / PREPARED).write_bytes(b"a part of what was prepared")
    (folder / "outcome.json").write_text(outcome.replace(ImportState.DONE, ImportState.STORING))
    log = WatchedLog(MemoryLog(source="specstream/api"))
    await log.restore(stored[:40], until=len(stored))
    async with running_api(tmp_path / "third", log) as api:

        async def is_done() -> bool:
            return bool((await api.get("/v1/log/import"))["state"] == "done")

        await eventually(is_done)
        assert not log.given
        assert (await api.get("/v1/log/verify"))["ok"]


class ForgedLog:
    """Everything else is the log's own. forged: the sequence of the event whose payload was changed."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.forged = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def read_raw(self, *, after: int = 0, until: int | None = None) -> AsyncIterator[Stored]:
        async for event in self._log.read_raw(after=after, until=until):
            yield replace(event, data=b"{}") if event.sequence == self.forged else event


class GrowingLog:
    """Everything else is the log's own. before_the_end: happens once, when all but the last event is read."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.before_the_end: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def read_raw(self, *, after: int = 0, until: int | None = None) -> AsyncIterator[Stored]:
        async for event in self._log.read_raw(after=after, until=until):
            if self.before_the_end is not None and event.sequence == await self._log.last_sequence():
                happens, self.before_the_end = self.before_the_end, None
                await happens()
            yield event


class WatchedLog:
    """Everything else is the log's own. given: the sequences of the events that were read and followed."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.given: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        async for event in self._log.read(*filters, after=after, until=until):
            self.given.append(event.sequence)
            yield event
