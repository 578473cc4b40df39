// Command controlplane is Kubernetes' control plane in one binary: etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler and kubectl, each linked as a library. The name it is called by picks the component (a link named
// kubectl is kubectl), else the first argument does. The rest of the command line is the component's own.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	_ "time/tzdata" // time zones of CronJobs

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // credential plugins of kubectl
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the components' own clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	"k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var components = []struct {
	name string
	run  func() int
}{
	{"etcd", runEtcd},
	{"kube-apiserver", server(apiserver.NewAPIServerCommand)},
	{"kube-controller-manager", server(controllermanager.NewControllerManagerCommand)},
	{"kube-scheduler", server(func() *cobra.Command { return scheduler.NewSchedulerCommand() })},
	{"kubectl", runKubectl},
	{"version", runVersion},
}

func main() {
	if run := find(filepath.Base(os.Args[0])); run != nil {
		os.Exit(run())
	}
	if len(os.Args) > 1 {
		if run := find(os.Args[1]); run != nil {
			os.Args = os.Args[1:] // the component finds its own name where it expects it
			os.Exit(run())
		}
	}
	names := make([]string, len(components))
	for i, component := range components {
		names[i] = component.name
	}
	fmt.Fprintf(os.Stderr, "controlplane: the first argument must be one of %s\n", strings.Join(names, ", "))
	os.Exit(2)
}

func find(name string) func() int {
	for _, component := range components {
		if component.name == name {
			return component.run
		}
	}
	return nil
}

func server(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
}

func runEtcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // prints as kubectl does, and exits with its code
	}
	return 0
}

func runVersion() int {
	fmt.Println(version.Get().GitVersion)
	return 0
}
