//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"
)

const (
	browserPatient = 2 * time.Minute
	browserPoll    = 20 * time.Millisecond
)

// chromium is a Chromium of its own, without what it does in the background.
type chromium struct {
	ctx   context.Context
	close func()
}

func startChromium(ctx context.Context) (*chromium, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("the rows web-* need Chromium: %w", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	)
	allocated, end := chromedp.NewExecAllocator(ctx, options...)
	browser, cancel := chromedp.NewContext(allocated)
	c := &chromium{ctx: browser, close: func() { cancel(); end() }}
	if err := chromedp.Do(browser); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// tab is a page of somebody's. Nobody is told of its network: each frame of a WebSocket would come here as text, which costs
// more than what is measured.
type tab struct {
	ctx   context.Context
	close func()
}

// person is a tab in a profile of its own.
func (c *chromium) person() *tab {
	ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	return &tab{ctx, cancel}
}

// another is a tab in the same profile.
func (t *tab) another() *tab {
	ctx, cancel := chromedp.NewContext(t.ctx)
	return &tab{ctx, cancel}
}

// send sends a command of the protocol.
func send[P, R any](t *tab, command cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(t.ctx, browserPatient)
	defer cancel()
	return chromedp.Call(ctx, command, params)
}

// eval is the value of an expression in the page; of a promise, what it resolves to.
func eval[T any](t *tab, expression string) (value T, err error) {
	yes := true
	result, err := send(t, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ReturnByValue: &yes, AwaitPromise: &yes, UserGesture: &yes})
	switch {
	case err != nil:
		return value, err
	case result.ExceptionDetails != nil:
		return value, fmt.Errorf("in the page: %s %s", result.ExceptionDetails.Text, result.ExceptionDetails.Exception.Description)
	case len(result.Result.Value) == 0:
		return value, nil
	}
	return value, json.Unmarshal(result.Result.Value, &value)
}

// until waits for an expression to hold in the page.
func (t *tab) until(expression string) error {
	for end := time.Now().Add(browserPatient); ; time.Sleep(browserPoll) {
		holds, err := eval[bool](t, "Boolean("+expression+")")
		if err == nil && holds {
			return nil
		}
		if time.Now().After(end) || t.ctx.Err() != nil {
			shown, _ := eval[string](t, "document.body.innerText")
			return errors.Join(fmt.Errorf("the page does not come to %s; it says: %s", expression, shown), err)
		}
	}
}

// open goes to an address; program runs there before anything else does.
func (t *tab) open(address, program string) error {
	if err := chromedp.Do(t.ctx); err != nil { // it lives as long as the context in which something was done first
		return err
	}
	if _, err := send(t, network.Disable, cdp.Empty{}); err != nil {
		return err
	}
	if program != "" {
		if _, err := send(t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: program}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, browserPatient)
	defer cancel()
	return chromedp.Do(ctx, chromedp.Navigate(address))
}

// click clicks the first of some elements that hold a text.
func (t *tab) click(elements, text string) error {
	found := fmt.Sprintf(`[...document.querySelectorAll(%q)].find((one) => one.innerText.includes(%q))`, elements, text)
	if err := t.until(found); err != nil {
		return err
	}
	_, err := eval[bool](t, "("+found+".click(), true)")
	return err
}

// fill types into a field.
func (t *tab) fill(field, text string) error {
	found := fmt.Sprintf(`document.querySelector(%q)`, field)
	if err := t.until(found + " && !" + found + ".disabled"); err != nil {
		return err
	}
	if _, err := eval[bool](t, "("+found+".focus(), true)"); err != nil {
		return err
	}
	_, err := send(t, input.InsertText, input.InsertTextParams{Text: text})
	return err
}

// enter presses the key of that name.
func (t *tab) enter() error {
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		params := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if kind == input.DispatchKeyEventTypeKeyDown {
			params.Text = "\r"
		}
		if _, err := send(t, input.DispatchKeyEvent, params); err != nil {
			return err
		}
	}
	return nil
}

// renderers is the largest memory of a process that shows pages, in MB: its peak so far.
func (c *chromium) renderers() (float64, error) {
	info, err := chromedp.CallBrowser(c.ctx, systeminfo.GetProcessInfo, cdp.Empty{})
	if err != nil {
		return 0, err
	}
	largest := 0.0
	for _, process := range info.ProcessInfo {
		if process.Type != "renderer" {
			continue
		}
		peak, err := memory(int(process.ID), "VmHWM")
		if err != nil {
			return 0, err
		}
		largest = max(largest, peak)
	}
	return largest, nil
}
