"""The domain under which every deployment has its host name. Pure."""

import re

USUAL = "localhost"

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)*(?=[a-z]){_LABEL}")

MOST_CHARACTERS = 219
"""A host name has 253 at most, and a deployment's own label is 33 of them, with a dot."""

ALLOWED = (
    f"a domain: at most {MOST_CHARACTERS} of a-z, 0-9, - and dots, its parts of at most 63 with a letter or "
    f"digit first and last, the last part with a letter first"
)


def parse_domain(text: str) -> str:
    """Raises ValueError for what is none. Capitals are refused: Envoy compares hosts byte by byte."""
    if len(text) > MOST_CHARACTERS or _DOMAIN.fullmatch(text) is None:
        raise ValueError(f"SPECSTREAM_DOMAIN: {text!r} is not {ALLOWED}")
    return text


def endpoint_host(deployment_id: str, domain: str) -> str:
    """The host name of a deployment's endpoint; it never changes while the domain stays."""
    return f"d{deployment_id}.{domain}"
