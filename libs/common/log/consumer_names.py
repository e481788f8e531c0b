"""How a service's consumers of the log are called: by a bounded number of names of its own.

The broker lets a service create a consumer by these names alone. So no service can use up the consumers of
the stream that others need, nor change a consumer of another one. A prefix would not do: in a subject a name
is one token, and no wildcard matches a part of one. Pure.
"""

USUAL = 32
"""For each service; it follows with one or two, and each is taken for some seconds after its use."""

OF_THE_API = 256
"""It follows for its clients too."""

OF_SAMPLES = 8
"""Of the stream of samples, which a service follows once."""

OF_SAMPLES_FOR_TRIALS = 64
"""The api's: it reads them for each trial of a policy too, and each is taken for some seconds after that."""

MOST_EVENT_STREAMS = 200
"""That the api serves at once, so that it always has consumers for its own work."""


def names_of(service: str) -> tuple[str, ...]:
    number = OF_THE_API if service == "api" else USUAL
    return tuple(f"{service}-{place}" for place in range(number))


def names_of_samples(service: str) -> tuple[str, ...]:
    return names_of(service)[: OF_SAMPLES_FOR_TRIALS if service == "api" else OF_SAMPLES]
