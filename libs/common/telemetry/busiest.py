"""Which deployments have series of their own: so many and no more, however many deployments there are."""

from collections.abc import Iterator, Mapping

from libs.common.telemetry.instruments import OTHER


class Busiest:
    """Names deployments while there is room, of those that come together the busiest first.

    | a deployment | room | it is counted as                     |
    |--------------|------|--------------------------------------|
    | has a name   | any  | itself, for as long as this process  |
    | has none     | yes  | itself from now on                   |
    | has none     | no   | other                                |

    So no series ever ends, and `other` never falls: what was counted there stays there.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._named: set[str] = set()

    def shared_out(self, amounts: Mapping[str, float]) -> Iterator[tuple[str, float]]:
        """What came of each deployment since the last time, as it is to be added: one amount for each name,
        and one for all others together."""
        unnamed = amounts.keys() - self._named
        room = self._most - len(self._named)
        self._named.update(sorted(unnamed, key=lambda each: (-amounts[each], each))[:room])
        others = 0.0
        for deployment_id, amount in amounts.items():
            if deployment_id in self._named:
                yield deployment_id, amount
            else:
                others += amount
        if others:
            yield OTHER, others
