"""What of a home somebody else could read, write or enter."""

import os
import stat
from pathlib import Path


def open_to_others(home: Path) -> dict[Path, str]:
    """With its mode, in octal. The programs may be at work: what goes away meanwhile is open to nobody."""
    found = {}
    for folder, folders, files in os.walk(home, onerror=None):
        for path in [Path(folder), *(Path(folder, name) for name in (*folders, *files))]:
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & 0o077:
                found[path] = oct(stat.S_IMODE(mode))
    return found
