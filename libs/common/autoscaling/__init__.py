"""What the autoscaler and those who explain its decisions share: how reasoning is told, and kept."""
