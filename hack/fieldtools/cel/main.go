// Command cel evaluates expressions on Kubernetes objects, as Flux's health checks do: `cel EXPRESSION… < objects`,
// JSON, one a line. The fields of the object are the variables. For each object it prints one list: true or false for
// each expression, or a string, the error.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

const longestLine = 16 << 20 // bytes

var variables = []string{"apiVersion", "kind", "metadata", "spec", "status", "data"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cel:", err)
		os.Exit(1)
	}
}

func run() error {
	programs, err := compiled(os.Args[1:])
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for number := 1; lines.Scan(); number++ {
		var object map[string]any
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		results := make([]any, len(programs))
		for index, program := range programs {
			value, _, err := program.Eval(object)
			if err != nil {
				results[index] = err.Error()
			} else {
				results[index] = value.Value()
			}
		}
		if err := json.NewEncoder(out).Encode(results); err != nil {
			return err
		}
	}
	return lines.Err()
}

// compiled refuses expressions that cannot give true or false.
func compiled(expressions []string) ([]cel.Program, error) {
	if len(expressions) == 0 {
		return nil, errors.New("give expressions, as in: cel 'has(status.conditions)' < objects")
	}
	options := []cel.EnvOption{ext.Strings()}
	for _, name := range variables {
		options = append(options, cel.Variable(name, cel.DynType))
	}
	environment, err := cel.NewEnv(options...)
	if err != nil {
		return nil, err
	}
	programs := make([]cel.Program, 0, len(expressions))
	for _, expression := range expressions {
		parsed, issues := environment.Compile(expression)
		if issues.Err() != nil {
			return nil, fmt.Errorf("%s: %w", expression, issues.Err())
		}
		if kind := parsed.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
			return nil, fmt.Errorf("%s: gives %s and not true or false", expression, kind)
		}
		program, err := environment.Program(parsed)
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	return programs, nil
}
