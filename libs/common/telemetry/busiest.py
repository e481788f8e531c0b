"""Which deployments have series of their own: so many and no more, however many deployments there are."""

import operator
from collections.abc import Callable, Iterator, Mapping

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

    def shared_out(
        self,
        amounts: Mapping[str, float],
        *,
        together: Callable[[float, float], float] = operator.add,
    ) -> Iterator[tuple[str, float]]:
        """The amount of each deployment that has a name, and one for all others together, if there are any.

        together: what two of the others come to.
        """
        if (room := self._most - len(self._named)) > 0:
            unnamed = amounts.keys() - self._named
            self._named.update(sorted(unnamed, key=lambda each: (-amounts[each], each))[:room])
        others: float | None = None
        for deployment_id, amount in amounts.items():
            if deployment_id in self._named:
                yield deployment_id, amount
            else:
                others = amount if others is None else together(others, amount)
        if others is not None:
            yield OTHER, others
