"""What the demo shows: numbered steps, facts under them, replicas as they come up."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from libs.cli.waiting import Seen
from libs.common.clock import monotonic


class Screen:
    """Prints as things happen. Without a terminal it prints the same lines, plain."""

    def __init__(self, name: str = "demo") -> None:
        self._name = name
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = monotonic()
        self._shown: dict[str, str] = {}

    @property
    def elapsed_s(self) -> float:
        return monotonic() - self._began

    def step(self, title: str) -> None:
        self._console.print(f"\n[bold cyan]{self.elapsed_s:6.1f} s  {title}[/bold cyan]")

    def fact(self, text: str) -> None:
        self._console.print(f"          {text}", markup=False)

    def replicas(self, seen: Seen) -> None:
        """A line for each replica that changed since the last look."""
        for line in seen.lines:
            if self._shown.get(line.replica_id) != line.state:
                self._shown[line.replica_id] = line.state
                message = f"  {escape(line.message)}" if line.message else ""
                self._console.print(
                    f"  {self.elapsed_s:6.1f} s  replica {line.replica_id[:12]}  run {line.run_id[:8]}"
                    f"  [bold]{line.state}[/bold]{message}"
                )

    def failure(self, reason: str, details: Sequence[str]) -> None:
        self._console.print(f"\n[bold red]{self._name}: failed: {escape(reason)}[/bold red]")
        for line in details:
            self._console.print(line, markup=False)

    def done(self) -> None:
        self._console.print("\nnext: `make up`, and docs/tutorial.md in another terminal")
        self._console.print(f"\n{self._name}: ok in {self.elapsed_s:.0f} s")
