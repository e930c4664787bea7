package browser_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/cli"
)

// terminal runs the command line in this process, as somebody at their computer does.
type terminal struct {
	page *chromiumtest.Page
	in   *io.PipeWriter
	done chan int

	mu   sync.Mutex
	said strings.Builder
}

func (term *terminal) Write(text []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.said.Write(text)
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.said.String()
}

func run(t *testing.T, page *chromiumtest.Page, m *member, args ...string) *terminal {
	t.Helper()
	in, typed := io.Pipe()
	term := &terminal{page: page, in: typed, done: make(chan int, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	env := func(name string) string {
		if name == "KEYHALL_HOME" {
			return m.profile.Dir()
		}
		return ""
	}
	go func() { term.done <- cli.Run(ctx, cli.System{Args: args, In: in, Out: term, Err: term, Env: env}) }()
	t.Cleanup(func() {
		cancel()
		_ = typed.Close()
	})
	return term
}

// word waits for a word with this beginning on the terminal.
func (term *terminal) word(beginning string) (found string) {
	term.page.Eventually("the terminal shows "+beginning, func() bool {
		for word := range strings.FieldsSeq(term.text()) {
			if strings.HasPrefix(word, beginning) {
				found = word
			}
		}
		return found != ""
	})
	return found
}

func TestLoginLinksABrowserToWhoBeganOnTheCommandLine(t *testing.T) {
	h, browser := begin(t)
	terminals := h.member(t, "olive")
	terminals.room(t, "orchard")
	page := browser.Person(t, h.HTTP())
	term := run(t, page, terminals, "login")
	page.Open(term.word(h.HTTP() + "/link#kl-"))
	page.Find("heading", "Link this browser")
	page.Click("button", "Ask to be let in")
	page.Find("heading", "Compare the words")
	compared := words(page)
	page.Eventually("both show the same words", func() bool {
		return strings.Contains(strings.Join(strings.Fields(term.text()), " "), compared)
	})
	page.Shot(pictures + "/link-words.png")
	_, _ = io.WriteString(term.in, "yes\n")
	page.Find("link", "Settings")
	if status := <-term.done; status != 0 {
		t.Errorf("keyhall login: %d\n%s", status, term.text())
	}
	page.Click("link", "Rooms")
	goTo(page, "orchard")
	write(page, "orchard", "said from a browser that was linked")
	page.Click("link", "Settings")
	page.See("computer", "this one")
}
