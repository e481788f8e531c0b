"""The cluster as Kubernetes has it.

Each replica is a bare pod, and the anchor of its deployment says which of them may exist.
"""
