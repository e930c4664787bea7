// Package chromiumtest drives a real Chromium for a test, as a person would: it finds things by
// their role and the name that a screen reader reads, clicks where they are, and types keys. A
// person has a profile of their own; all share one process. What goes wrong in a page (an
// exception, an error on its console, something that its security policy stops, a request to
// anybody else) fails the test.
//
//	browser, err := chromiumtest.Launch()
//	alice := browser.Person(t, hub.HTTP())
//	alice.Open("/login")
//	alice.Fill("Name", "alice")
//	alice.Click("button", "Sign in")
//	alice.See("Welcome back")
package chromiumtest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/chromedp/chromedp"
)

// Patience bounds everything that a test waits for; it is no measure of anything.
const Patience = 60 * time.Second

// ErrNone says that no Chromium is installed.
var ErrNone = errors.New("no Chromium is installed")

// Browser is a running Chromium.
type Browser struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Find is the path of Chromium.
func Find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNone
}

// Launch starts Chromium with an empty profile, until Close. Flags are further ones, without
// their dashes. Errors match ErrNone where there is none.
func Launch(flags ...string) (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		// A machine without a screen has no mouse either, and pages would take it for a telephone.
		chromedp.Flag("blink-settings", "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"),
	)
	for _, flag := range flags {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	b := &Browser{ctx: ctx, cancel: func() { cancel(); end() }}
	if err := chromedp.Do(ctx); err != nil {
		b.cancel()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return b, nil
}

// Close ends Chromium.
func (b *Browser) Close() { b.cancel() }
