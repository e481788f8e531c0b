"""Why a number of replicas is what it is. Pure data.

Apart from how it is decided: every service reads and counts decisions, one makes them.
"""

from enum import StrEnum


class Cause(StrEnum):
    """Why the number is what it is. Closed."""

    METRIC_ABOVE_TARGET = "metric_above_target"
    ALL_METRICS_BELOW_TARGET = "all_metrics_below_target"
    RECENT_RECOMMENDATION = "recent_recommendation"
    """Up without `behavior`: the metrics asked for more within the window, and the number is below that."""
    ABOVE_MAXIMUM = "above_maximum"
    BELOW_MINIMUM = "below_minimum"
    UNCHANGED = "unchanged"
    METRICS_UNKNOWN = "metrics_unknown"
    """The number stays: what is unknown might need it."""
    ROLLING_OUT = "rolling_out"
    """The number stays: it does not fall while a new run comes up."""
    DISABLED = "disabled"
    """The deployment is stopped, which is nothing that a load changes."""
