"""How long a text in a fact may be. Pure."""

LONGEST = 256
"""Characters of a message in a fact, with what says how much is left out."""

_KEPT = 224


def bounded(text: str) -> str:
    """`text`, or its beginning and how many characters are left out: never more than `LONGEST`.

    A fact about replicas repeats the message of each, and the broker takes no message above 1 MiB. Bounding
    what is bounded already changes nothing.
    """
    if len(text) <= LONGEST:
        return text
    return f"{text[:_KEPT]}… (+{len(text) - _KEPT:,} characters)"
