"""What a machine type costs, at which time: the past keeps its price. Pure."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from libs.common.spec.integrations import ABSENT, Input

MOST: Final = 1_000_000
MOST_PRICES: Final = 1_000
ALWAYS: Final = datetime.min.replace(tzinfo=UTC)

PRICE: Final = f"a number from 0 to {MOST}"
PRICES: Final = f"{PRICE}, or a list of {{from, price}}"
TIME: Final = "an RFC 3339 time with its offset, or a day, which begins in UTC"


def _moment(given: Any) -> Any:
    """YAML makes times and days of what looks so."""
    moment = given
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            moment = None
    elif isinstance(given, date) and not isinstance(given, datetime):
        moment = datetime.combine(given, time(), UTC)
    if isinstance(given, str) and moment is not None and len(given) == len("2026-01-01"):
        moment = moment.replace(tzinfo=UTC)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise PydanticCustomError("price_time", "must be a time", {"allowed": TIME})
    return moment.astimezone(UTC)


class Priced(Input):
    """From that time on."""

    from_: Annotated[datetime, BeforeValidator(_moment)] = Field(alias="from")
    price: Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


def _one_or_several(given: Any) -> Any:
    if isinstance(given, int | float) and not isinstance(given, bool):
        if not (math.isfinite(given) and 0 <= given <= MOST):
            raise PydanticCustomError("price", "is no price", {"allowed": PRICE})
        return [{"from": ALWAYS, "price": float(given)}]
    if not isinstance(given, list):
        raise PydanticCustomError("price", "is no price", {"allowed": PRICES})
    return given


Prices = Annotated[
    list[Priced], Field(min_length=1, max_length=MOST_PRICES), BeforeValidator(_one_or_several)
]
NO_PRICES: Prices = ABSENT


def cost(prices: Sequence[Priced] | None, begin: datetime, end: datetime) -> float | None:
    """Of one replica from `begin` to `end`; None where a part of that has no price.

    prices: rising in time.
    """
    if prices is None or begin < prices[0].from_:
        return None
    total = 0.0
    for number, priced in enumerate(prices):
        until = prices[number + 1].from_ if number + 1 < len(prices) else end
        seconds = (min(end, until) - max(begin, priced.from_)).total_seconds()
        total += max(0.0, seconds) / 3600 * priced.price
    return total
