"""The log's folder put back from a backup, as docs/how-to/operate.md says, beside the rest of the home."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually

KEPT = ("nats/jetstream",)
REST = ("api", "replicas")


def copy(home: Path, folders: tuple[str, ...], to: Path) -> None:
    """Of a home that is down."""
    for folder in folders:
        shutil.copytree(home / folder, to / folder, symlinks=True, ignore=_pipes)


def put_back(backup: Path, folders: tuple[str, ...], home: Path) -> None:
    for folder in folders:
        (home / folder).rename(home / f"{folder}.before")
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
    platform.send("nats")
    put_back(backup, KEPT, platform.home)
    os.kill(supervisor, signal.SIGCONT)


async def is_what_the_log_says(platform: LivePlatform, versions: dict[str, str], *, gone: list[str]) -> None:
    """versions: of each deployment that there is, by name; all others are gone, those of `gone` by id."""

    async def is_listed() -> bool:
        listed = await platform.get("/deployments", limit=100)
        return {item["name"] for item in listed["items"]} == versions.keys()

    await eventually(is_listed, within_s=60, every_s=0.2, because="other deployments are listed")
    await platform.healthy()
    ids = {item["name"]: item["id"] for item in (await platform.get("/deployments", limit=100))["items"]}
    for name, version in versions.items():
        await platform.settled(ids[name])
        await _serves(platform, ids[name], version)
    for deployment_id in gone:
        await eventually(
            lambda one=deployment_id: not platform.replica_processes(one),
            within_s=60,
            every_s=0.2,
            because=f"replicas of {deployment_id}, which the log does not know, are left",
        )
    # Whatever is asked for now takes effect: nothing is refused by what is no more.
    for name in versions:
        await platform.deploy(hello(name, VERSION="next"))
        await _serves(platform, ids[name], "next")
    await platform.deploy(hello("new"))
    for deployment_id in ids.values():
        await platform.replica_pids(deployment_id)
    await platform.verified()


async def _serves(platform: LivePlatform, deployment_id: str, version: str) -> None:
    caller = platform.caller(deployment_id)

    async def is_served() -> bool:
        answer = await caller.once()
        return answer.status_code == 200 and answer.json()["version"] == version

    await eventually(is_served, within_s=30, every_s=0.2, because=f"version {version} does not answer")


@pytest.fixture
async def other_platform(tmp_path: Path):
    platform = LivePlatform(tmp_path / "other")
    yield platform
    await platform.close()


@pytest.mark.parametrize("is_running", [False, True], ids=["while it is down", "underneath"])
async def test_an_older_backup(own_platform: LivePlatform, tmp_path: Path, is_running: bool):
    await own_platform.start_and_wait()
    await own_platform.deploy(hello("kept", VERSION="1"))
    deleted = await own_platform.deploy(hello("deleted", VERSION="1"))
    await down(own_platform)
    copy(own_platform.home, KEPT, tmp_path / "backup")
    await own_platform.start_and_wait()
    ghost = await own_platform.deploy(hello("ghost"))
    await own_platform.deploy(hello("kept", VERSION="2"))
    await own_platform.delete(deleted)
    await own_platform.gone(deleted)
    if is_running:
        await underneath(own_platform, tmp_path / "backup")
    else:
        await down(own_platform)
        put_back(tmp_path / "backup", KEPT, own_platform.home)
        await own_platform.start_and_wait()
    await is_what_the_log_says(own_platform, {"kept": "1", "deleted": "1"}, gone=[ghost])


async def test_a_newer_backup(own_platform: LivePlatform, tmp_path: Path):
    await own_platform.start_and_wait()
    await own_platform.deploy(hello("kept", VERSION="1"))
    deleted = await own_platform.deploy(hello("deleted"))
    await down(own_platform)
    copy(own_platform.home, REST, tmp_path / "rest")
    await own_platform.start_and_wait()
    await own_platform.deploy(hello("later"))
    await own_platform.deploy(hello("kept", VERSION="2"))
    await own_platform.delete(deleted)
    await own_platform.gone(deleted)
    await down(own_platform)
    put_back(tmp_path / "rest", REST, own_platform.home)
    await own_platform.start_and_wait()
    await is_what_the_log_says(own_platform, {"kept": "2", "later": "1"}, gone=[deleted])


@pytest.mark.parametrize("is_running", [False, True], ids=["while it is down", "underneath"])
async def test_the_log_of_another_home(
    own_platform: LivePlatform, other_platform: LivePlatform, tmp_path: Path, is_running: bool
):
    await other_platform.start_and_wait()
    for name in ("one", "two"):
        await other_platform.deploy(hello(name, VERSION="1"))
    await down(other_platform)
    copy(other_platform.home, KEPT, tmp_path / "backup")
    await own_platform.start_and_wait()
    ghost = await own_platform.deploy(hello("ghost"))
    if is_running:
        await underneath(own_platform, tmp_path / "backup")
    else:
        await down(own_platform)
        put_back(tmp_path / "backup", KEPT, own_platform.home)
        await own_platform.start_and_wait()
    await is_what_the_log_says(own_platform, {"one": "1", "two": "1"}, gone=[ghost])
