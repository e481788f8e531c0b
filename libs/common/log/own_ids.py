"""Whether an event is about something that can be there. Pure.

The ids of deployments and projects are made here, never chosen. They become names of directories, of Envoy's
resources, of keys and of hosts, and parts of addresses; no request can name one of another form. So an import
brings none.
"""

from libs.common.events.envelope import parse_subject
from libs.common.events.project import ProjectFact
from libs.common.ids import AN_ID, DEFAULT_PROJECT, is_id
from libs.common.log import wire
from libs.common.log.port import Stored
from libs.common.state.view import OF_DEPLOYMENTS

_OF_DEPLOYMENTS = frozenset(kind.name for kind in OF_DEPLOYMENTS)


def problem(event: Stored) -> str | None:
    """Why it is about no deployment or project that there can be; None where it is, or is about something
    else, or is no event, which nobody takes for a fact."""
    aggregate, event_type = parse_subject(event.subject)
    if aggregate.kind in _OF_DEPLOYMENTS and not is_id(aggregate.id):
        wrong, what = aggregate.id, "deployment"
    elif aggregate.kind in _OF_DEPLOYMENTS and not _is_project(aggregate.project_id):
        wrong, what = aggregate.project_id, "project"
    elif aggregate.kind == ProjectFact.aggregate and not _is_project(aggregate.id):
        wrong, what = aggregate.id, "project"
    else:
        return None
    if wire.contradiction(aggregate, event_type, event.headers):
        return None
    return f"{wrong[:100]!r} is not the id of a {what}: {AN_ID}"


def _is_project(project_id: str) -> bool:
    return project_id == DEFAULT_PROJECT or is_id(project_id)
