"""The read models as the commands see them."""

from typing import Protocol


class Visible(Protocol):
    """Where reads come from."""

    def admit(self) -> None:
        """Raises Temporary while nothing may be appended, because reads are of another log than this."""
        ...

    async def wait_for(self, sequence: int) -> None:
        """Until reads show everything up to `sequence`. Raises Temporary when that takes too long."""
        ...

    async def place_of_spec(self, deployment_id: str, spec_id: str) -> int:
        """The sequence at which a deployment's spec was registered, as far as reads show it; 0 for none.

        Only a hint where to look in the log. Raises Temporary where reads do not show all that they should.
        """
        ...
