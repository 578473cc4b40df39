// Command kstatus reads Kubernetes objects as JSON, one a line, and prints for each what kstatus makes of it: the
// library by which Helm, Flux and `cli-utils` wait for resources. The answer is JSON too, one a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const longestLine = 16 << 20 // bytes; no object in etcd is as large

type answer struct {
	Status  string `json:"status"` // InProgress, Failed, Current, Terminating, NotFound or Unknown
	Message string `json:"message"`
	// What kstatus would add for those who only know `kubectl wait`: Reconciling or Stalled, or none.
	Conditions []status.Condition `json:"conditions"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for number := 1; lines.Scan(); number++ {
		result, err := compute(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := json.NewEncoder(out).Encode(result); err != nil {
			return err
		}
	}
	return lines.Err()
}

func compute(line []byte) (answer, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(line); err != nil { // numbers without a fraction become int64, as kstatus wants them
		return answer{}, err
	}
	result, err := status.Compute(object)
	if err != nil {
		return answer{}, err
	}
	return answer{Status: result.Status.String(), Message: result.Message, Conditions: result.Conditions}, nil
}
