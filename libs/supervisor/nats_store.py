"""Where the streams lie on the disk, below the server's store: in a folder for each account."""

from pathlib import Path

from libs.common.bus.subjects import PLATFORM_ACCOUNT
from libs.supervisor.errors import CannotStart
from libs.supervisor.home import Home

GLOBAL_ACCOUNT = "$G"
"""The server's name for the account of those who have none, as everybody once was."""


def take_over(home: Home) -> None:
    """Move what an earlier version stored to our account. The server must not be running.

    Each stream is moved by itself, with a link left where it was: so it is whole at every instant, a move
    that was interrupted goes on, and the earlier version still finds its streams. Raises CannotStart when a
    stream is in both places or cannot be moved.
    """
    accounts = home.path / "nats" / "jetstream" / "jetstream"
    earlier, ours = accounts / GLOBAL_ACCOUNT / "streams", accounts / PLATFORM_ACCOUNT / "streams"
    if not earlier.is_dir():
        return
    try:
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stream in sorted(earlier.iterdir()):
            if not stream.is_symlink() and stream.is_dir():
                _move(stream, ours / stream.name)
        for stream in sorted(ours.iterdir()):
            link = earlier / stream.name
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(Path("..", "..", PLATFORM_ACCOUNT, "streams", stream.name))
    except OSError as error:
        raise CannotStart(f"cannot move the streams of {earlier} to {ours}: {error}") from error


def _move(stream: Path, to: Path) -> None:
    if to.exists():
        raise CannotStart(
            f"the stream {stream.name} is there twice, in {stream} and in {to}: "
            "move away the one that is not wanted"
        )
    stream.rename(to)
