"""The read models: what the API shows, in SQL. Disposable; the log is the truth.

Times are kept as the API spells them. `sequence` columns hold places in the log, which order everything: the
times that the broker stored may step back, and those of the rows, which never do, are the ones that are shown
(`libs/common/log/timeline.py`).
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("log", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("latest", String(32)),
)
"""One row. The last event taken in, written in the transaction that took it in: the identity of its log, its
sequence and its hash. A log that does not have it is not the one that the rows are of.

latest: of the times stored up to it; None before the first."""

step_backs = Table(
    "step_backs",
    metadata,
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("time", String(32), nullable=False),
)
"""Where the stored times step back: the events from first to last are shown with that time."""

projects = Table(
    "projects",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("deleted_at", String(32)),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("project_id", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("deleted_at", String(32)),
    Column("spec_id", String(32)),
    Column("runs", JSON, nullable=False),
    Column("retiring", JSON, nullable=False),
    Column("decided", JSON),
    Index("deployments_that_exist", "sequence", sqlite_where=text("deleted_at IS NULL")),
    Index("deployments_by_project", "project_id", "sequence", sqlite_where=text("deleted_at IS NULL")),
)
"""spec_id: of the newest spec. runs: `[{run_id, spec_id}]`, what the cluster holds. retiring: replicas.
decided: `{replicas, stretch_id}`, the newest decision of the autoscaler. The indexes are of those that exist:
what was deleted is in no list."""

specs = Table(
    "specs",
    metadata,
    Column("id", String(32), nullable=False),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("deployment_id", String(32), nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("applied_at", String(32)),
    Column("healthy_at", String(32)),
    Column("error", Text),
    Column("stalled", Text),
    Column("git", JSON),
    Column("command_source", Text),
    Column("scaling_since", String(32)),
    PrimaryKeyConstraint("deployment_id", "id"),
    Index("specs_by_deployment", "deployment_id", "sequence"),
)
"""An imported log may have one spec's id in two deployments. user_id: the actor.
stalled: why its rollout takes too long.
command_source: what the publisher of a command claims to be; None for others."""

instances = Table(
    "instances",
    metadata,
    Column("id", String(32), nullable=False),
    Column("deployment_id", String(32), nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", Text),
    Column("created_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("restarts", Integer, nullable=False),
    Column("history", JSON, nullable=False),
    PrimaryKeyConstraint("deployment_id", "id"),
)
"""The replicas that exist, by their deployment as specs are. history: `[{state, message, timestamp}]`."""

activities = Table(
    "activities",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("project_id", String(32), nullable=False),
    Column("deployment_id", String(32), ForeignKey("deployments.id"), nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("command_source", Text),
    Column("data", JSON),
    Column("created_at", String(32), nullable=False),
    Index("activities_by_project", "project_id", "id"),
    Index("activities_by_deployment", "deployment_id", "id"),
)

stays = Table(
    "stays",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("replica_id", String(32), nullable=False),
    Column("deployment_id", String(32), nullable=False),
    Column("project_id", String(32), nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("spec_id", String(32), nullable=False),
    Column("machine_type", Text, nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("ended_at", String(32)),
    Index("stays_by_replica", "deployment_id", "replica_id"),
    Index("stays_by_deployment", "deployment_id", "run_id"),
    Index("stays_by_end", "ended_at"),
)
"""How long each replica was there, kept for good: a row for each spec that its run carried out meanwhile, and
one more when it is there still. id: the replica and the sequence of the event that began it."""

decisions = Table(
    "decisions",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("deployment_id", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("type", String(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("decisions_by_deployment", "deployment_id", "kind", "sequence"),
)
"""What was decided about each deployment (`decisions.py`)."""

set_aside = Table("set_aside", metadata, Column("id", String(64), primary_key=True))
"""Deployments and projects of which an event could not be taken in: their rows are to be made anew."""

COMPARED = (projects, deployments, specs, instances, stays, activities, decisions, step_backs)
"""The tables that must equal a fresh replay of the log."""
