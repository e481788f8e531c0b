"""The tables of what was measured. Nothing gives them back: they are changed, never made anew.

Minutes are numbered since 1970, and hours too. A series is what one thing did: a deployment, a replica, a GPU
of one, or the edge itself, which has a point for each minute in which requests were counted.
"""

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, MetaData, String, Table

VERSION = 2
"""Kept as SQLite's `user_version`. A later version adds to what is there."""

EDGE, DEPLOYMENT, REPLICA, GPU = range(4)
"""What a series is of."""

SUMS = 4
"""Of the values of a deployment's point, the first ones: they count requests and their time."""

metadata = MetaData()

position = Table(
    "position",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("minute", BigInteger, nullable=False),
)
"""One row, as soon as there is a minute: the one that was taken in last."""

taken = Table(
    "taken",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("stream", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("behind", BigInteger, nullable=False),
)
"""One row, as `places.Taken` has it. Version 1 has none."""

series = Table(
    "series",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", BigInteger, nullable=False),
    Column("deployment_id", String(64), nullable=False),
    Column("replica_id", String(64), nullable=False),
    Column("gpu", BigInteger, nullable=False),
    Index("series_by_what", "kind", "deployment_id", "replica_id", "gpu", unique=True),
)

minutes = Table(
    "minutes",
    metadata,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Index("minutes_by_minute", "minute"),
    sqlite_with_rowid=False,
)
"""Of the hours that are not packed yet: each a packed hour of one row."""

hours = Table(
    "hours",
    metadata,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("hours_by_series", "series", "hour"),
    sqlite_with_rowid=False,
)
"""step: how many minutes one point is of. first: the first minute of which there is one."""

days = Table(
    "days",
    metadata,
    Column("deployment_id", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("answered", Float, nullable=False),
    Column("unanswered", Float, nullable=False),
    Column("server_errors", Float, nullable=False),
    Column("duration_us", Float, nullable=False),
)
"""The requests of each day in UTC, such as `2026-11-23`; of a month, such as `2026-11`, where there is no
room for its days."""
