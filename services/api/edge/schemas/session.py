"""Who asks, as the reference API shapes it: a user who is a member of one team."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from libs.common.events.envelope import TEAM
from services.api.edge.schemas.base import Answer
from services.api.readmodels.queries import DEFAULT


class SessionTeam(Answer):
    """maxMachines: 0, because nothing here counts machines."""

    id: str = TEAM
    namespace: str = TEAM
    is_private: bool = True
    analytics_id: int = 0
    max_machines: int = 0


class MemberTeam(Answer):
    id: str = TEAM
    name: str = TEAM
    namespace: str = TEAM
    is_user_team: bool = False
    dt_created: str = DEFAULT.created_at


class TeamMembership(Answer):
    is_admin: bool = True
    is_owner: bool = True
    team: MemberTeam = MemberTeam()


class SessionUser(Answer):
    """id: as events name the actor. A key has no address, no name and no second factor."""

    id: str
    email: str = ""
    first_name: None = None
    last_name: None = None
    analytics_id: int = 0
    dt_created: str = DEFAULT.created_at
    dt_confirmed: None = None
    is_password_auth_enabled: bool = False
    is_phone_verified: bool = False
    is_qr_code_based_mfa_confirmed: bool = False
    is_qr_code_based_mfa_enabled: bool = False
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    team_memberships: tuple[TeamMembership, ...] = (TeamMembership(),)


class SessionAnswer(Answer):
    team: SessionTeam
    user: SessionUser

    @classmethod
    def of(cls, actor: str) -> "SessionAnswer":
        return cls(team=SessionTeam(), user=SessionUser(id=actor))
