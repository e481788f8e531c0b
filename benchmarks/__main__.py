"""`python -m benchmarks`: measure, and print each figure beside the limit from the same run."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from time import perf_counter

import structlog
import uvloop
from rich.console import Console

from benchmarks.figure import Figure
from benchmarks.registry import BENCHMARKS, LONG, find
from benchmarks.table import make_markdown, make_table

FILE_WIDTH = 220
"""Characters, where no terminal says how wide it is: what has no room loses its value."""


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parse(arguments)
    # Before gRPC is loaded: its fork handlers now and then crash a child between fork and exec under uvloop.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # What the measured parts log is no part of the table.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    progress = Console(stderr=True)
    figures: list[Figure] = []
    failed: list[str] = []
    for name in asked.only or (LONG if asked.scale else BENCHMARKS):
        start = perf_counter()
        progress.print(f"measuring {name} ...")
        try:
            figures += uvloop.run(find(name)(quick=asked.quick))
        except Exception:  # noqa: BLE001 - what the others have measured took minutes, and is shown all the same
            progress.print_exception()
            failed.append(name)
            continue
        progress.print(f"measured {name} in {perf_counter() - start:.0f} s")
    if asked.markdown:
        print(make_markdown(figures))
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=FILE_WIDTH)
        console.print(make_table(f"Specstream on {os.cpu_count()} cores", figures))
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*BENCHMARKS, *LONG]
    parser.add_argument("--only", action="append", choices=names, help="just this one; may be repeated")
    parser.add_argument("--scale", action="store_true", help="the long ones instead of all others")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first impression")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
