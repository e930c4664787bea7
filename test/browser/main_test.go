// Package browser drives the web app in a real Chromium against a real hub, as people would: each
// with a profile of their own, by what the pages say. One hub and one Chromium serve all tests, so
// each test has people and rooms of its own. Without Chromium, or without an app that was built, all
// of it is skipped, and says so.
package browser_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/web"
)

// pictures is where the screenshots of the last run are.
var pictures = filepath.Join("..", "..", "bin", "screenshots")

// closers end what tests share, the newest first.
var closers struct {
	sync.Mutex
	all []func()
}

func atTheEnd(end func()) {
	closers.Lock()
	defer closers.Unlock()
	closers.all = append(closers.all, end)
}

// atOnce is how many tests run at a time: much of each is waiting.
const atOnce = "3"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	code := m.Run()
	for i := len(closers.all) - 1; i >= 0; i-- {
		closers.all[i]()
	}
	os.Exit(code)
}

var theBrowser = sync.OnceValues(func() (*chromiumtest.Browser, error) {
	browser, err := chromiumtest.Launch()
	if err == nil {
		atTheEnd(browser.Close)
	}
	return browser, err
})

// begin gives a test the hall and the browser that all share, and lets it run beside others.
func begin(t *testing.T) (*hall, *chromiumtest.Browser) {
	t.Helper()
	t.Parallel()
	if _, err := fs.Stat(web.App(), "index.html"); err != nil {
		t.Skip("the web app is not built (make web): nothing was tried in a browser")
	}
	browser, err := theBrowser()
	if errors.Is(err, chromiumtest.ErrNone) {
		t.Skipf("nothing was tried in a browser: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	shared, err := theHall()
	if err != nil {
		t.Fatalf("the hall: %v", err)
	}
	return shared, browser
}

// password is what a member types; longer than the app asks for.
func password(handle string) string { return fmt.Sprintf("the door of %s is blue", handle) }

// signIn is what somebody does who has a name and a password and a fresh browser.
func signIn(t *testing.T, browser *chromiumtest.Browser, h *hall, handle string) *chromiumtest.Page {
	t.Helper()
	page := browser.Person(t, h.HTTP())
	enter(page, handle)
	return page
}

func enter(page *chromiumtest.Page, handle string) {
	page.Open("/")
	page.Fill("Name", handle)
	page.Fill("Password", password(handle))
	page.Press("Enter")
	page.Find("link", "Settings")
}
