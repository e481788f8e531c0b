"""Single rows of the read models, read and written at the price of SQLite itself.

SQLAlchemy makes the text of each statement from the tables, once; to build and run one costs it 30 to 100 us
of CPU, which is ten times what the driver needs for it. An event leads to about two of them.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, Connection, Table, and_, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite.pysqlite import dialect
from sqlalchemy.sql.expression import ClauseElement

Where = tuple[tuple[str, bool], ...]
"""The columns of a condition, each with whether its value is NULL."""

_MOST_STATEMENTS = 256


class Rows:
    """In one transaction of a connection. Conditions are columns that equal their values."""

    def __init__(self, connection: Connection) -> None:
        self._run = connection.connection.cursor().execute

    def put(self, table: Table, **values: Any) -> None:
        """A whole row, instead of the one with its key."""
        statement = _put(table, tuple(values))
        self._run(statement.text, statement.parameters(values))

    def change(self, table: Table, values: dict[str, Any], **where: Any) -> None:
        """Every row that fits."""
        statement = _change(table, tuple(values), _shape(where))
        self._run(statement.text, statement.parameters(values | _named(where)))

    def delete(self, table: Table, **where: Any) -> None:
        """Every row that fits."""
        statement = _delete(table, _shape(where))
        self._run(statement.text, statement.parameters(_named(where)))

    def find(self, table: Table, columns: Sequence[str], **where: Any) -> list[tuple[Any, ...]]:
        """These columns of every row that fits."""
        statement, read = _find(table, tuple(columns), _shape(where))
        found = self._run(statement.text, statement.parameters(_named(where))).fetchall()
        if not any(read):
            return list(found)
        return [
            tuple(one if load is None else load(one) for load, one in zip(read, row, strict=True))
            for row in found
        ]

    def first(self, table: Table, column: str, **where: Any) -> Any:
        """That column of the only row that fits; None where there is none."""
        found = self.find(table, (column,), **where)
        return found[0][0] if found else None


class _Statement(NamedTuple):
    """names: of its parameters, in order. as_json: those that are stored as JSON."""

    text: str
    names: tuple[str, ...]
    as_json: frozenset[str]

    def parameters(self, values: dict[str, Any]) -> list[Any]:
        return [json.dumps(values[name]) if name in self.as_json else values[name] for name in self.names]


@lru_cache(maxsize=_MOST_STATEMENTS)
def _put(table: Table, columns: tuple[str, ...]) -> _Statement:
    return _compiled(table, insert(table).prefix_with("OR REPLACE"), columns)


@lru_cache(maxsize=_MOST_STATEMENTS)
def _change(table: Table, columns: tuple[str, ...], where: Where) -> _Statement:
    values = {column: bindparam(column, type_=table.c[column].type) for column in columns}
    return _compiled(table, update(table).where(_condition(table, where)).values(values))


@lru_cache(maxsize=_MOST_STATEMENTS)
def _delete(table: Table, where: Where) -> _Statement:
    return _compiled(table, delete(table).where(_condition(table, where)))


@lru_cache(maxsize=_MOST_STATEMENTS)
def _find(
    table: Table, columns: tuple[str, ...], where: Where
) -> tuple[_Statement, tuple[Callable[[str], Any] | None, ...]]:
    found = [table.c[column] for column in columns]
    read = tuple(_from_json if isinstance(column.type, JSON) else None for column in found)
    return _compiled(table, select(*found).where(_condition(table, where))), read


def _compiled(table: Table, statement: ClauseElement, columns: tuple[str, ...] | None = None) -> _Statement:
    compiled = statement.compile(
        dialect=dialect(paramstyle="qmark"), column_keys=None if columns is None else list(columns)
    )
    as_json = frozenset(column.name for column in table.columns if isinstance(column.type, JSON))
    return _Statement(str(compiled), tuple(compiled.positiontup or ()), as_json)  # type: ignore[attr-defined]  # of the SQL compiler


def _condition(table: Table, where: Where) -> ColumnElement[bool]:
    return and_(
        *(
            table.c[column].is_(None) if is_null else table.c[column] == bindparam(_key(column))
            for column, is_null in where
        )
    )


def _shape(where: dict[str, Any]) -> Where:
    return tuple((column, value is None) for column, value in where.items())


def _named(where: dict[str, Any]) -> dict[str, Any]:
    """Under names that no column has, so that a condition and a new value of one column stand apart."""
    return {_key(column): value for column, value in where.items() if value is not None}


def _key(column: str) -> str:
    return f"is {column}"


def _from_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
