"""The figures as one table: for the terminal, and as Markdown for the reference."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.figure import Figure

COLUMNS = ("figure", "value", "unit", "beside", "ratio", "aim", "met")
NUMBERS = {"value", "ratio"}


def make_table(title: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=True)
    for figure in figures:
        table.add_row(*row(figure), style="bold red" if figure.is_met is False else None)
    return table


def make_markdown(figures: Sequence[Figure]) -> str:
    rule = ("---:" if column in NUMBERS else "---" for column in COLUMNS)
    lines = (COLUMNS, rule, *(row(figure) for figure in figures))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row(figure: Figure) -> tuple[str, ...]:
    """One cell for each of `COLUMNS`."""
    beside = "" if figure.limit is None else f"{_number(figure.limit)} {figure.limit_name or ''}".strip()
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    aim = "" if figure.aim is None else str(figure.aim)
    met = {True: "met", False: "not met", None: ""}[figure.is_met]
    return (figure.name, _number(figure.value), figure.unit, beside, ratio, aim, met)


def _number(value: float) -> str:
    """Three digits that say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
