// Command argo-lua runs a Lua script of Argo CD as Argo CD does: in the same engine, with the same libraries, for no
// longer than a second. The first argument is the script's file. The object comes as JSON from standard input, and what
// the script returns goes as JSON to standard output.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// limit is the time that Argo CD gives a script.
const limit = time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s SCRIPT < OBJECT", os.Args[0])
	}
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var object map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&object); err != nil {
		return fmt.Errorf("the object: %w", err)
	}
	result, err := call(string(script), object)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// call runs a script. Only the libraries that argocd-cm enables by default exist: no strings, no math, no files.
func call(script string, object map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	state.SetContext(ctx)
	libraries := map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	}
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		open := lua.P{Fn: state.NewFunction(libraries[name]), Protect: true}
		if err := state.CallByParam(open, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	state.PreloadModule(lua.OsLibName, clock)
	state.SetGlobal("actionParams", state.NewTable())
	state.SetGlobal("obj", luajson.DecodeValue(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	encoded, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return nil, err
	}
	var returned any
	if err := json.Unmarshal(encoded, &returned); err != nil {
		return nil, err
	}
	return likeBefore(returned, object), nil
}

// clock is all that Argo CD leaves of the library os: date and time.
func clock(state *lua.LState) int {
	whole := state.NewTable()
	state.Push(state.NewFunction(lua.OpenOs))
	state.Push(lua.LString(lua.OsLibName))
	state.Call(1, 1)
	if opened, ok := state.Get(-1).(*lua.LTable); ok {
		for _, name := range []string{"date", "time"} {
			whole.RawSetString(name, opened.RawGetString(name))
		}
	}
	state.SetGlobal(lua.OsLibName, lua.LNil)
	state.Push(whole)
	return 1
}

// likeBefore turns empty lists back into the objects that they were before the script: an empty table of Lua is both.
func likeBefore(after, before any) any {
	switch before := before.(type) {
	case map[string]any:
		if list, ok := after.([]any); ok && len(list) == 0 {
			return map[string]any{}
		}
		if members, ok := after.(map[string]any); ok {
			for name, member := range members {
				members[name] = likeBefore(member, before[name])
			}
		}
	case []any:
		if list, ok := after.([]any); ok {
			for i := range min(len(list), len(before)) {
				list[i] = likeBefore(list[i], before[i])
			}
		}
	}
	return after
}
