"""What a simulated pod may be told to do, and the annotations that tell it.

A pod becomes Ready at once, unless it is told otherwise: by its annotation `sim/state`, or, from its first
instant, by `SIM_STATE` in the environment of its first container, which the annotation overrides. Both may be
set, changed and removed while the pod lives. Words and codes are the kubelet's.
"""

from enum import StrEnum

STATE = "sim/state"

READY_DELAY = "sim/ready-delay"
"""`20s`: how long it runs before it is Ready."""

STOP_DELAY = "sim/stop-delay"
"""How long it takes to end once it is deleted, whatever its grace period."""

MESSAGE = "sim/message"
"""What the kubelet adds to its reason."""

EXIT_CODE = "sim/exit-code"
"""Of a crash; 1 without it, and 137 where memory ran out."""

STATE_VARIABLE = "SIM_STATE"


class State(StrEnum):
    """What a simulated pod may be told to be."""

    READY = "Ready"
    NOT_READY = "NotReady"

    PULLING = "Pulling"
    ERR_IMAGE_PULL = "ErrImagePull"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    INVALID_IMAGE_NAME = "InvalidImageName"

    CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_ERROR = "CreateContainerError"
    RUN_ERROR = "RunContainerError"
    FAILED_MOUNT = "FailedMount"
    FAILED_SANDBOX = "FailedCreatePodSandBox"

    CRASH_LOOP = "CrashLoopBackOff"
    OUT_OF_MEMORY = "OOMKilled"
    ERROR = "Error"
    """Ended and about to be started again, without back-off yet."""

    EVICTED = "Evicted"
    SHUTDOWN = "NodeShutdown"
    """Refused because its node is shutting down; one that ran there is TERMINATED."""
    TERMINATED = "Terminated"
    ADMISSION_ERROR = "UnexpectedAdmissionError"
    OUT_OF_CPU = "OutOfcpu"
    OUT_OF_GPU = "OutOfnvidia.com/gpu"


RUNNING_BADLY = (State.CRASH_LOOP, State.OUT_OF_MEMORY, State.ERROR)
PULL_FAILS = (State.ERR_IMAGE_PULL, State.IMAGE_PULL_BACK_OFF, State.INVALID_IMAGE_NAME)
CANNOT_START = (State.CONFIG_ERROR, State.CREATE_ERROR, State.RUN_ERROR)
STILL_CREATING = {
    # The container waits without a word in its status; only an event says why.
    State.PULLING: ("Normal", "Pulling", "Pulling image"),
    State.FAILED_MOUNT: (
        "Warning",
        "FailedMount",
        'MountVolume.SetUp failed for volume "data" : configmap "settings" not found',
    ),
    State.FAILED_SANDBOX: (
        "Warning",
        "FailedCreatePodSandBox",
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox",
    ),
}
REJECTED = (
    State.EVICTED,
    State.SHUTDOWN,
    State.TERMINATED,
    State.ADMISSION_ERROR,
    State.OUT_OF_CPU,
    State.OUT_OF_GPU,
)
