"""What the processes of this machine use of its GPUs: the port, NVML behind it, and the fake for tests."""
