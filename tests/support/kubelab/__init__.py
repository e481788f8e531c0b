"""A real Kubernetes on the machine that runs the tests, without root, an engine or an image to pull.

One Go program is every part of the control plane (`main.go`); KWOK, which is in it too, plays the kubelets of
simulated nodes. `python -m tests.support.kubelab` runs one by hand.
"""
