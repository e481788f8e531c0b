"""Specs as the api reads them on a platform that has the bundled machine types."""

from functools import partial
from typing import Final

from libs.common.cluster.abilities import KUBERNETES, LOCAL
from libs.common.cluster.offer import Offer
from libs.common.machine_types.reading import bundled
from libs.common.spec import parse

parse_spec = partial(parse.parse_spec, machine_types=bundled())

LOCAL_OFFER: Final = Offer(bundled(), LOCAL)
KUBERNETES_OFFER: Final = Offer(bundled(), KUBERNETES)
