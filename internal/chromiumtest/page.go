package chromiumtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Page is what somebody sees: one tab, in a profile of its own.
type Page struct {
	t       *testing.T
	ctx     context.Context
	cancel  context.CancelFunc
	origin  string
	watched watched
	world   runtime.ExecutionContextID // of Isolated
}

// Person is somebody new: an empty profile, one tab, which is closed with the test. What went
// wrong in the page fails the test then.
func (b *Browser) Person(t *testing.T, origin string) *Page {
	t.Helper()
	p := &Page{t: t, origin: strings.TrimSuffix(origin, "/")}
	p.watched.origin = p.origin
	p.ctx, p.cancel = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.watched.hear))
	p.begin()
	return p
}

// Tab is another tab of the same person, with the same keys and cookies.
func (p *Page) Tab() *Page {
	p.t.Helper()
	return p.TabAt(p.origin)
}

// TabAt is another tab of the same person, at another origin.
func (p *Page) TabAt(origin string) *Page {
	p.t.Helper()
	other := &Page{t: p.t, origin: strings.TrimSuffix(origin, "/")}
	other.watched.origin = other.origin
	other.ctx, other.cancel = chromedp.NewContext(p.ctx, chromedp.WithListener(other.watched.hear))
	other.begin()
	return other
}

func (p *Page) begin() {
	p.t.Helper()
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.keep()
		}
		p.cancel()
		for _, wrong := range p.watched.all() {
			p.t.Errorf("in the page: %s", wrong)
		}
	})
	yes := true
	p.must("begin", chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		// Every tab behaves as the one that is looked at.
		_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: yes})
		return err
	})))
}

func (p *Page) must(what string, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// call sends one command of the protocol.
func call[P, R any](p *Page, command cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	return chromedp.Call(ctx, command, params)
}

// Open goes to a path of the origin, or to a whole URL.
func (p *Page) Open(path string) {
	p.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = p.origin + path
	}
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	p.must("open "+path, chromedp.Do(ctx, chromedp.Navigate(path)))
}

// Reload loads the page again.
func (p *Page) Reload() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	p.must("reload", chromedp.Do(ctx, chromedp.Reload()))
}

// Path is where the page is, without the origin.
func (p *Page) Path() string {
	p.t.Helper()
	return Eval[string](p, `location.pathname + location.search + location.hash`)
}

// Eval is the value of an expression of JavaScript in the page; of a promise, what it resolves to.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	value, err := TryEval[T](p, expression)
	p.must("evaluate "+short(expression), err)
	return value
}

// TryEval is Eval that may fail.
func TryEval[T any](p *Page, expression string) (value T, err error) {
	yes := true
	result, err := call(p, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ReturnByValue: &yes, AwaitPromise: &yes, UserGesture: &yes})
	switch {
	case err != nil:
		return value, err
	case result.ExceptionDetails != nil:
		return value, fmt.Errorf("%s", thrown(result.ExceptionDetails))
	case len(result.Result.Value) == 0:
		return value, nil // undefined
	}
	return value, json.Unmarshal(result.Result.Value, &value)
}

func short(text string) string {
	if len(text) > 120 {
		return text[:120] + "…"
	}
	return text
}

// Eventually polls until cond holds; the page is shown where it never does.
func (p *Page) Eventually(what string, cond func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(Patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) || p.ctx.Err() != nil {
			p.t.Fatalf("it never came to this: %s\nThe page at %s says:\n%s", what, p.where(), indented(p.text()))
		}
	}
}

// where is Path for messages: it never fails.
func (p *Page) where() string {
	path, err := TryEval[string](p, `location.href`)
	if err != nil {
		return "a place that cannot be asked"
	}
	return path
}

func indented(text string) string { return "\t" + strings.ReplaceAll(text, "\n", "\n\t") }

// text is all that can be read on the page; empty while it is loading.
func (p *Page) text() string {
	text, err := TryEval[string](p, `document.body?.innerText ?? ""`)
	if err != nil {
		return ""
	}
	return text
}

// Text is all that can be read on the page.
func (p *Page) Text() string { return p.text() }

// See waits until the page shows all of these texts.
func (p *Page) See(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.Eventually(fmt.Sprintf("the page shows %q", text), func() bool { return contains(p.text(), text) })
	}
}

// Gone waits until the page shows none of these texts.
func (p *Page) Gone(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.Eventually(fmt.Sprintf("the page does not show %q any more", text), func() bool { return !contains(p.text(), text) })
	}
}

func contains(all, text string) bool {
	return strings.Contains(strings.ToLower(strings.Join(strings.Fields(all), " ")), strings.ToLower(text))
}

// Size makes the page so large. A phone has a touch screen.
func (p *Page) Size(width, height int64, phone bool) {
	p.t.Helper()
	_, err := call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone})
	p.must("size", err)
	_, err = call(p, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: phone})
	p.must("size", err)
}

// Theme is light or dark, as the system of somebody has it, who wants little motion.
func (p *Page) Theme(theme string) {
	p.t.Helper()
	_, err := call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	p.must("theme", err)
}

// Authenticator gives the person a passkey device that says yes: one with PRF, or one without.
func (p *Page) Authenticator(prf bool) {
	p.t.Helper()
	_, err := call(p, webauthn.Enable, webauthn.EnableParams{})
	p.must("authenticator", err)
	yes := true
	_, err = call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: yes, HasUserVerification: yes, HasPrf: prf, AutomaticPresenceSimulation: yes, IsUserVerified: yes,
	}})
	p.must("authenticator", err)
}

// Shot writes what the page shows as a picture.
func (p *Page) Shot(path string) {
	p.t.Helper()
	p.must("picture", p.shot(path))
}

func (p *Page) shot(path string) error {
	picture, err := call(p, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, picture.Data, 0o644) //nolint:gosec // pictures to look at
}

// keep leaves a picture and the text of a page in which a test failed, and says where.
func (p *Page) keep() {
	path := filepath.Join(os.TempDir(), "keyhall-"+strings.NewReplacer("/", "-", " ", "-").Replace(p.t.Name())+".png")
	if err := p.shot(path); err == nil {
		p.t.Logf("the page at %s is shown by %s and says:\n%s\nWhat else was noted:\n%s", p.where(), path, indented(p.text()), indented(p.watched.noted()))
	}
}
