// Command lua runs a health check for Argo CD on Kubernetes objects: `lua health.lua < objects`, JSON, one a line.
//
// It is Argo CD's own interpreter, gopher-lua, set up as Argo CD does without `useOpenLibs`: the libraries base,
// package and table and nothing else (of `os`, Argo CD adds the time; a health check that goes by it is refused
// here), the object as the global `obj`, one second. For each object it prints {"status": …, "message": …}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const (
	longestLine = 16 << 20 // bytes
	limit       = time.Second
)

var healths = []string{"Unknown", "Progressing", "Healthy", "Suspended", "Degraded", "Missing"}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lua:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("give one file, as in: lua health.lua < objects")
	}
	script, err := os.ReadFile(os.Args[1])
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
		found, err := assess(string(script), object)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := json.NewEncoder(out).Encode(found); err != nil {
			return err
		}
	}
	return lines.Err()
}

// assess runs the script in a state of its own, as Argo CD does for each object.
func assess(script string, object map[string]any) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(
			lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name),
		); err != nil {
			return health{}, err
		}
	}
	within, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	state.SetContext(within)
	state.SetGlobal("obj", valueOf(state, object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	return healthOf(state.Get(-1))
}

func healthOf(returned lua.LValue) (health, error) {
	table, ok := returned.(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("the script returned a %s and not a table", returned.Type())
	}
	status, ok := table.RawGetString("status").(lua.LString)
	if !ok || !slices.Contains(healths, string(status)) {
		return health{}, fmt.Errorf("the script returned the status %s, which Argo CD does not know", table.RawGetString("status"))
	}
	message := table.RawGetString("message")
	if message.Type() != lua.LTString && message != lua.LNil {
		return health{}, fmt.Errorf("the script returned a message that is a %s and not a string", message.Type())
	}
	if message == lua.LNil {
		message = lua.LString("")
	}
	return health{Status: string(status), Message: message.String()}, nil
}

func valueOf(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(valueOf(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetH(lua.LString(key), valueOf(state, item))
		}
		return table
	}
	return lua.LNil
}
