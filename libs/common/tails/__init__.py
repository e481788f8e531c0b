"""The last that gone and crashed replicas wrote, where their cluster does not keep it."""
