"""The log's folder put back from a backup, as docs/how-to/operate.md says, beside the rest of the home."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.common.ids import new_id
from tests.support.brisk_reconciler import BRISK
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually
from tests.support.processes import is_alive

KEPT = ("nats/jetstream",)
REST = ("api", "replicas")


def copy(home: Path, folders: tuple[str, ...], to: Path) -> None:
    """Of a home that is down."""
    for folder in folders:
        shutil.copytree(home / folder, to / folder, symlinks=True, ignore=_pipes)


def put_back(backup: Path, folders: tuple[str, ...], home: Path) -> None:
    for folder in folders:
        (home / folder).rename(home / f"{folder}.before-{new_id()}")
        shutil.copytree(backup / folder, home / folder, symlinks=True)


def _pipes(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_fifo()}


async def down(platform: LivePlatform) -> None:
    assert (await platform.run("down")).returncode == 0


async def underneath(platform: LivePlatform, backup: Path) -> None:
    """Exchange the log while every service and every replica is at work."""
    supervisor = platform.pid("supervisor")
    assert supervisor is not None
    os.kill(supervisor, signal.SIGSTOP)
    nats = platform.pid("nats")
    assert nats is not None
    platform.send("nats")
    await eventually(lambda: not is_alive(nats))
    put_back(backup, KEPT, platform.home)
    os.kill(supervisor, signal.SIGCONT)


async def ids_by_name(platform: LivePlatform) -> dict[str, str]:
    listed = await platform.get("/deployments", limit=100)
    return {item["name"]: item["id"] for item in listed["items"]}


async def is_what_the_log_says(platform: LivePlatform, versions: dict[str, str], *, gone: set[str]) -> None:
    """versions: of each deployment that there is, by name; all others are gone, those of `gone` by id."""

    async def is_listed() -> bool:
        return (await ids_by_name(platform)).keys() == versions.keys()

    await eventually(is_listed, every_s=0.2, because="other deployments are listed")
    await platform.healthy()
    ids = await ids_by_name(platform)

    async def serves(name: str, version: str) -> None:
        await platform.settled(ids[name])
        await _serves(platform, ids[name], version)

    await asyncio.gather(*(serves(name, version) for name, version in versions.items()))
    for deployment_id in gone:
        await eventually(
            lambda one=deployment_id: not platform.replica_processes(one),
            every_s=0.2,
            because=f"replicas of {deployment_id}, which the log does not know, are left",
        )

    async def takes_effect(name: str) -> None:
        """Whatever is asked for now: nothing is refused by what is no more."""
        await platform.deploy(hello(name, VERSION="next"))
        await _serves(platform, ids[name], "next")

    await asyncio.gather(*(takes_effect(name) for name in versions), platform.deploy(hello("new")))
    for deployment_id in ids.values():
        await platform.replica_pids(deployment_id)
    await platform.verified()


async def _serves(platform: LivePlatform, deployment_id: str, version: str) -> None:
    caller = platform.caller(deployment_id)

    async def is_served() -> bool:
        answer = await caller.once()
        return answer.status_code == 200 and answer.json()["version"] == version

    await eventually(is_served, every_s=0.2, because=f"version {version} does not answer")


@dataclass(frozen=True)
class Backup:
    """path: of its folders. deployments: the ids of what the log has, by name; all are of version 1."""

    path: Path
    deployments: dict[str, str]


@dataclass
class Home:
    """A platform, and backups of the logs of homes. of: whose log it goes on with."""

    platform: LivePlatform
    backups: dict[str, Backup]
    of: str

    async def go_on(self) -> set[str]:
        """Change, delete and make deployments; the ids of all that there are then."""
        changed, deleted = self.backups[self.of].deployments
        leaving, _, _ = await asyncio.gather(
            self.platform.deploy(hello(deleted)),
            self.platform.deploy(hello(changed, VERSION="2")),
            self.platform.deploy(hello("ghost")),
        )
        await self.platform.delete(leaving)
        await self.platform.gone(leaving)
        return set((await ids_by_name(self.platform)).values())

    async def restore(self, of: str, *, is_running: bool) -> None:
        backup = self.backups[of].path
        if is_running:
            await underneath(self.platform, backup)
        else:
            await down(self.platform)
            put_back(backup, KEPT, self.platform.home)
            await self.platform.start_and_wait()
        self.of = of


@pytest.fixture(scope="module")
async def lasting_home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    folder = tmp_path_factory.mktemp("restored")
    platforms = {name: LivePlatform(folder / name, **BRISK) for name in ("own", "other")}
    try:
        own, other = await asyncio.gather(
            back_up(platforms["own"], ("kept", "deleted"), folder / "own-backup"),
            back_up(platforms["other"], ("one", "two"), folder / "other-backup"),
        )
        yield Home(platforms["own"], {"own": own, "other": other}, of="own")
    finally:
        for platform in platforms.values():
            await platform.close()


async def back_up(platform: LivePlatform, names: tuple[str, str], to: Path) -> Backup:
    await platform.start_and_wait()
    ids = await asyncio.gather(*(platform.deploy(hello(name, VERSION="1")) for name in names))
    await down(platform)
    copy(platform.home, (*KEPT, *REST), to)
    return Backup(to, dict(zip(names, ids, strict=True)))


@pytest.fixture
async def home(lasting_home: Home) -> Home:
    """One for all of these tests, whose log is by turns of one home and of another."""
    if not lasting_home.platform.is_up:
        await lasting_home.platform.start_and_wait()
    return lasting_home


async def test_a_newer_backup(home: Home):
    """The log stays, and the rest of the home is put back. It comes first: later the log is another one."""
    assert home.of == "own"
    await home.go_on()
    await down(home.platform)
    put_back(home.backups["own"].path, REST, home.platform.home)
    await home.platform.start_and_wait()
    gone = {home.backups["own"].deployments["deleted"]}
    await is_what_the_log_says(home.platform, {"kept": "2", "ghost": "1"}, gone=gone)


@pytest.mark.parametrize("is_running", [False, True], ids=["while it is down", "underneath"])
@pytest.mark.parametrize("is_another", [False, True], ids=["older", "of another home"])
async def test_a_backup(home: Home, is_another: bool, is_running: bool):
    before = await home.go_on()
    of = next(name for name in home.backups if (name != home.of) == is_another)
    await home.restore(of, is_running=is_running)
    deployments = home.backups[of].deployments
    await is_what_the_log_says(
        home.platform, dict.fromkeys(deployments, "1"), gone=before - set(deployments.values())
    )
