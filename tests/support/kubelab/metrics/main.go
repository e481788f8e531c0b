// Metrics-server, which serves metrics.k8s.io from what kubelets measure. A program of its own: linked into the
// other one, it would raise versions of what most of that one is made of.
package main

import (
	"io"
	"os"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	"sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

// As the other program, it ends when its standard input does, if it is told so.
func init() {
	if os.Getenv("KUBELAB_ENDS_WITH_STDIN") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
}

func main() {
	os.Exit(cli.Run(app.NewMetricsServerCommand(genericapiserver.SetupSignalHandler())))
}
