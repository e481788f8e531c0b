"""Specs as the api reads them on a platform that has the bundled machine types."""

from functools import partial

from libs.common.machine_types.reading import bundled
from libs.common.spec import parse

parse_spec = partial(parse.parse_spec, machine_types=bundled())
