package main

import (
	"io"
	"os"
)

// A part that is told so ends when its standard input does. Whoever started it holds the other end of that pipe,
// and the kernel closes it however that one ends: a test run that is killed leaves no Kubernetes behind.
func init() {
	if os.Getenv("KUBELAB_ENDS_WITH_STDIN") == "" {
		return
	}
	os.Unsetenv("KUBELAB_ENDS_WITH_STDIN")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
}
