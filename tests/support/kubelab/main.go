// Kubelab is a whole Kubernetes in one program, for tests that need a real one on a machine that cannot pull
// an image. It is the part that its name says: `kube-apiserver` is this file under that name, or its first
// argument (`kubelab kube-apiserver ...`). One program instead of eight, because they share most of their code:
// it is built, kept and loaded once.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwokcmd "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
)

func main() {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "kubelab") && len(os.Args) > 1 {
		os.Args = os.Args[1:]
	}
	switch part := filepath.Base(os.Args[0]); part {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		run(scheduler.NewSchedulerCommand())
	case "kubelet":
		run(kubelet.NewKubeletCommand(context.Background()))
	case "kube-proxy":
		run(kubeproxy.NewProxyCommand())
	case "kubectl":
		run(kubectl.NewDefaultKubectlCommand())
	case "kwok":
		runKwok()
	case "pki":
		runPKI()
	default:
		fmt.Fprintf(os.Stderr, "kubelab: no part is named %q: etcd, kube-apiserver, kube-controller-manager, "+
			"kube-scheduler, kubelet, kube-proxy, kubectl, kwok, pki\n", part)
		os.Exit(64)
	}
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

// runKwok is kwok's own main, but for the version flag: component-base has registered one that is no boolean,
// and cobra refuses to add its own beside it.
func runKwok() {
	ctx := genericapiserver.SetupSignalContext()
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ = kwoklog.InitFlags(ctx, flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err == nil {
		command := kwokcmd.NewCommand(ctx)
		command.Version = ""
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}
