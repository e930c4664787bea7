package chromiumtest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Thing is something on the page, as a screen reader finds it.
type Thing struct {
	Role, Name string
	node       cdp.BackendNodeID
	state      map[accessibility.PropertyName]string
}

// Disabled says that it cannot be used just now.
func (t *Thing) Disabled() bool { return t.state[accessibility.PropertyNameDisabled] == "true" }

// Is reports a state of it, such as "pressed", "expanded", "checked" or "selected".
func (t *Thing) Is(state string) bool {
	return t.state[accessibility.PropertyName(state)] == "true"
}

// Things are all of a role, in the order of the page; none while it is loading.
func (p *Page) Things(role string) []Thing {
	yes := true
	document, err := call(p, runtime.Evaluate, runtime.EvaluateParams{Expression: `document`, Silent: &yes})
	if err != nil || document.Result == nil || document.Result.ObjectID == "" {
		return nil
	}
	return p.query(accessibility.QueryAXTreeParams{ObjectID: document.Result.ObjectID, Role: role})
}

// within are those of a role that are inside another thing.
func (p *Page) within(outer *Thing, role string) []Thing {
	return p.query(accessibility.QueryAXTreeParams{BackendNodeID: outer.node, Role: role})
}

func (p *Page) query(params accessibility.QueryAXTreeParams) []Thing {
	found, err := call(p, accessibility.QueryAXTree, params)
	if err != nil {
		return nil
	}
	var things []Thing
	for _, node := range found.Nodes {
		if node.Ignored || node.BackendDOMNodeID == 0 {
			continue
		}
		thing := Thing{Role: params.Role, Name: valueOf(node.Name), node: node.BackendDOMNodeID, state: make(map[accessibility.PropertyName]string)}
		for _, property := range node.Properties {
			thing.state[property.Name] = valueOf(property.Value)
		}
		things = append(things, thing)
	}
	return things
}

func valueOf(value *accessibility.Value) string {
	if value == nil {
		return ""
	}
	var text string
	if json.Unmarshal(value.Value, &text) == nil {
		return text
	}
	return string(value.Value)
}

// find is the thing with this name; otherwise the first one that has it in its name.
func (p *Page) find(role, name string) *Thing {
	things := p.Things(role)
	for i := range things {
		if strings.EqualFold(strings.TrimSpace(things[i].Name), name) {
			return &things[i]
		}
	}
	for i := range things {
		if contains(things[i].Name, name) {
			return &things[i]
		}
	}
	return nil
}

// Has reports whether the page has such a thing just now.
func (p *Page) Has(role, name string) bool { return p.find(role, name) != nil }

// Find waits for a thing with a role and a name, or a part of one.
func (p *Page) Find(role, name string) *Thing {
	p.t.Helper()
	var found *Thing
	p.Eventually(fmt.Sprintf("there is a %s %q", role, name), func() bool { found = p.find(role, name); return found != nil })
	return found
}

// Lacks waits until there is no such thing.
func (p *Page) Lacks(role, name string) {
	p.t.Helper()
	p.Eventually(fmt.Sprintf("there is no %s %q any more", role, name), func() bool { return !p.Has(role, name) })
}

// Click clicks a thing where it is, once it can be used.
func (p *Page) Click(role, name string) {
	p.t.Helper()
	p.Eventually(fmt.Sprintf("a %s %q can be clicked", role, name), func() bool {
		found := p.find(role, name)
		return found != nil && !found.Disabled() && p.click(found.node) == nil
	})
}

// onTop says where a click on an element has to go, if nothing lies above it.
const onTop = `function () {
	this.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
	for (const box of this.getClientRects()) {
		const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
		const top = box.width > 0 && box.height > 0 && document.elementFromPoint(x, y);
		if (top && (this.contains(top) || [...(this.labels ?? [])].some((label) => label.contains(top)))) return [x, y];
	}
	return null;
}`

func (p *Page) click(node cdp.BackendNodeID) error {
	at, err := onNode[[]float64](p, node, onTop)
	if err != nil {
		return err
	}
	if len(at) != 2 {
		return fmt.Errorf("something lies above it")
	}
	for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMouseMoved, input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
		params := input.DispatchMouseEventParams{Type: kind, X: at[0], Y: at[1], Button: input.MouseButtonLeft, ClickCount: 1}
		if kind == input.DispatchMouseEventTypeMouseMoved {
			params.Button, params.ClickCount = input.MouseButtonNone, 0
		}
		if _, err := call(p, input.DispatchMouseEvent, params); err != nil {
			return err
		}
	}
	return nil
}

// onNode is what a function of JavaScript says of an element.
func onNode[T any](p *Page, node cdp.BackendNodeID, function string) (value T, err error) {
	resolved, err := call(p, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node})
	if err != nil {
		return value, err
	}
	yes := true
	result, err := call(p, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
		FunctionDeclaration: function, ObjectID: resolved.Object.ObjectID, ReturnByValue: &yes, AwaitPromise: &yes,
	})
	switch {
	case err != nil:
		return value, err
	case result.ExceptionDetails != nil:
		return value, fmt.Errorf("%s", thrown(result.ExceptionDetails))
	case len(result.Result.Value) == 0:
		return value, nil
	}
	return value, json.Unmarshal(result.Result.Value, &value)
}

// On is what a function of JavaScript says of a thing on the page.
func On[T any](p *Page, thing *Thing, function string) T {
	p.t.Helper()
	value, err := onNode[T](p, thing.node, function)
	p.must("ask "+thing.Name, err)
	return value
}

// Fill clicks a field with this label, and types in place of what it holds.
func (p *Page) Fill(label, text string) {
	p.t.Helper()
	p.Eventually(fmt.Sprintf("there is a field %q, and it can be typed in", label), func() bool {
		found := p.field(label)
		if found == nil || found.Disabled() {
			return false
		}
		focused, err := onNode[bool](p, found.node, `function () { return this === document.activeElement; }`)
		if err == nil && !focused {
			_ = p.click(found.node) // whether it took the focus is seen the next time
		}
		return err == nil && focused
	})
	p.Press("Control+a")
	p.Type(text)
}

func (p *Page) field(label string) *Thing {
	for _, role := range []string{"textbox", "searchbox", "combobox", "spinbutton"} {
		if found := p.find(role, label); found != nil {
			return found
		}
	}
	return nil
}

// Type types a text into whatever has the focus.
func (p *Page) Type(text string) {
	p.t.Helper()
	for _, character := range text {
		if character > 0x7e { // no key of this keyboard
			_, err := call(p, input.InsertText, input.InsertTextParams{Text: string(character)})
			p.must("type", err)
			continue
		}
		p.must("type", chromedp.Do(p.ctx, chromedp.KeyEvent(string(character))))
	}
}

// keys are those that have a name.
var keys = map[string]struct {
	code  int64
	text  string
	named string
}{
	"Enter": {13, "\r", "Enter"}, "Tab": {9, "", "Tab"}, "Escape": {27, "", "Escape"}, "Space": {32, " ", " "}, "Backspace": {8, "", "Backspace"},
	"Delete": {46, "", "Delete"}, "ArrowLeft": {37, "", "ArrowLeft"}, "ArrowUp": {38, "", "ArrowUp"}, "ArrowRight": {39, "", "ArrowRight"},
	"ArrowDown": {40, "", "ArrowDown"}, "Home": {36, "", "Home"}, "End": {35, "", "End"}, "PageUp": {33, "", "PageUp"}, "PageDown": {34, "", "PageDown"},
}

// Press presses a key, or several in turn: "Tab", "Shift+Tab", "Control+a".
func (p *Page) Press(all ...string) {
	p.t.Helper()
	for _, said := range all {
		parts := strings.Split(said, "+")
		params := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown}
		for _, held := range parts[:len(parts)-1] {
			params.Modifiers |= map[string]int64{"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}[held]
		}
		last := parts[len(parts)-1]
		if key, named := keys[last]; named {
			params.Key, params.Code, params.Text, params.WindowsVirtualKeyCode = key.named, last, key.text, key.code
		} else {
			params.Key, params.Code, params.WindowsVirtualKeyCode = last, "Key"+strings.ToUpper(last), int64(strings.ToUpper(last)[0])
			if params.Modifiers&^8 == 0 {
				params.Text = last
			}
		}
		if said == "Control+a" {
			params.Commands = []string{"selectAll"}
		}
		if params.Text != "" {
			params.Type = input.DispatchKeyEventTypeKeyDown
		}
		_, err := call(p, input.DispatchKeyEvent, params)
		p.must("press "+said, err)
		params.Type, params.Text, params.Commands = input.DispatchKeyEventTypeKeyUp, "", nil
		_, err = call(p, input.DispatchKeyEvent, params)
		p.must("press "+said, err)
	}
}

// Focused is what has the focus, as a screen reader says it: its role and its name.
func (p *Page) Focused() (role, name string) {
	p.t.Helper()
	result, err := call(p, runtime.Evaluate, runtime.EvaluateParams{Expression: `document.activeElement`})
	if err != nil || result.Result.ObjectID == "" {
		return "", ""
	}
	found, err := call(p, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: result.Result.ObjectID})
	if err != nil || len(found.Nodes) == 0 {
		return "", ""
	}
	return valueOf(found.Nodes[0].Role), valueOf(found.Nodes[0].Name)
}
