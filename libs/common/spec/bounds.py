"""What the numbers and words of a spec may be: as a client writes it, and as it is read again, since an
import brings specs that no client wrote."""

from typing import Annotated, Literal

from pydantic import Field

from libs.common.scaling.behavior import MAX_PERIOD_S, MAX_WINDOW_S

MAX_INT = 2_147_483_647
MAX_REPLICAS = 1000
MAX_PORTS = 128
"""A machine has some twenty thousand for the replicas of all, and a replica holds a file for each."""
MAX_RATES = 10
"""Of one direction. autoscaling/v2 has no limit; here every decision carries its policy."""
LOWEST_TARGET = 0.001
"""A thousandth: of a percent, or of a second, which is what the edge measures."""

Port = Annotated[int, Field(ge=1, le=65535)]
Replicas = Annotated[int, Field(ge=0, le=MAX_REPLICAS)]
MaxReplicas = Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
Count = Annotated[int, Field(ge=1, le=MAX_INT)]
Delay = Annotated[int, Field(ge=0, le=MAX_INT)]
"""In seconds."""

MetricWord = Literal["cpu", "memory", "requestDuration"]
RateWord = Literal["Pods", "Percent"]
SelectWord = Literal["Max", "Min", "Disabled"]
Target = Annotated[float, Field(gt=0, le=MAX_INT, allow_inf_nan=False)]
Tolerance = Annotated[float, Field(ge=0, le=MAX_INT, allow_inf_nan=False)]
Window = Annotated[int, Field(ge=0, le=MAX_WINDOW_S)]
"""In seconds, as the next ones."""
LoadWindow = Annotated[int, Field(ge=10, le=MAX_WINDOW_S)]
Period = Annotated[int, Field(ge=1, le=MAX_PERIOD_S)]
Utilization = Annotated[int, Field(ge=1, le=100)]
"""Percent."""
DownRate = Annotated[int, Field(ge=1, le=50)]
"""Percent."""
