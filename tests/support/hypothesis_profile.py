"""How Hypothesis runs. A test takes its settings when its module is imported, so this comes before all."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "specstream",
    deadline=None,  # a busy machine is not a failure
    max_examples=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("specstream")
