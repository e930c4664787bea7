package script_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// jsonField is `json VAR FIELD [KEY=VALUE...]`: the field of the first line of the last
// output in which the others are so.
func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "json")
	need(ts, args, 2, -1, "json VAR FIELD [KEY=VALUE...]")
	output := ts.ReadFile("stdout")
	for line := range strings.Lines(output) {
		var object map[string]any
		if json.Unmarshal([]byte(line), &object) != nil || !matches(object, args[2:]) {
			continue
		}
		value, found := object[args[1]]
		if !found {
			ts.Fatalf("no field %q in %s", args[1], line)
		}
		ts.Setenv(args[0], text(value))
		return
	}
	ts.Fatalf("no line with %v in:\n%s", args[2:], output)
}

func matches(object map[string]any, conditions []string) bool {
	for _, condition := range conditions {
		key, want, _ := strings.Cut(condition, "=")
		if value, found := object[key]; !found || text(value) != want {
			return false
		}
	}
	return true
}

func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return fmt.Sprintf("%v", v)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
