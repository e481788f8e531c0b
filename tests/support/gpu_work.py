"""A process that holds memory of the first NVIDIA GPU, and works on it if it is told to, by CUDA's driver.

`python -m tests.support.gpu_work MIB [work]` prints `ready` and goes on until it is killed.
"""

import ctypes
import signal
import sys


def main(mib: int, *, works: bool) -> None:
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: object) -> None:
        status = getattr(cuda, name)(*arguments)
        assert status == 0, f"{name}: {status}"

    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    size = ctypes.c_size_t(mib * 1024 * 1024)
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuCtxCreate_v2", ctypes.byref(context), 0, device)
    call("cuMemAlloc_v2", ctypes.byref(memory), size)
    call("cuMemsetD8_v2", memory, ctypes.c_ubyte(0), size)
    call("cuCtxSynchronize")
    print("ready", flush=True)
    while True:
        if works:
            call("cuMemsetD8_v2", memory, ctypes.c_ubyte(1), size)
            call("cuCtxSynchronize")
        else:
            signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), works="work" in sys.argv[2:])
