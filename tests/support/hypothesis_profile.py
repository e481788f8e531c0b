"""How Hypothesis runs. A test takes its settings when its module is imported, so this comes before all.

The suite tries the same examples each time: what it says depends on the code alone. `make explore` tries
others, and more of them, each time it is called.
"""

from hypothesis import HealthCheck, settings

EVERYWHERE = settings(
    deadline=None,  # a busy machine is not a failure
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)

settings.register_profile("same", EVERYWHERE, max_examples=60, derandomize=True)
settings.register_profile("others", EVERYWHERE, max_examples=1_000)
settings.load_profile("same")
