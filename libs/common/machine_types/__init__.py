"""Machine types: named bundles of CPU, memory and GPUs, and where on a cluster they are found."""
