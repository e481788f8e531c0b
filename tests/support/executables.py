"""Small programs that a test writes."""

from pathlib import Path


def an_executable(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)
