package chromiumtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// watched notes what goes wrong in a page.
type watched struct {
	origin string

	mu     sync.Mutex
	wrongs []string
	notes  []string // what the network answered, and what the page told its console: shown when a test failed
}

// hear is called with every event of the page.
func (w *watched) hear(event any) {
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		w.wrong("an exception: " + thrown(event.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if event.Type == runtime.ConsoleAPICalledTypeError || event.Type == runtime.ConsoleAPICalledTypeAssert {
			w.wrong("on the console: " + said(event.Args))
			return
		}
		w.note("on the console: " + said(event.Args))
	case *log.EventEntryAdded:
		// What the network answers is judged by what the page makes of it.
		text := fmt.Sprintf("%s: %s %s", event.Entry.Source, event.Entry.Text, event.Entry.URL)
		if event.Entry.Level != log.EntryLevelError || event.Entry.Source == log.EntrySourceNetwork {
			w.note(text)
			return
		}
		w.wrong(text)
	case *network.EventRequestWillBeSent:
		w.request(event.Request.URL)
	case *network.EventWebSocketCreated:
		w.request(event.URL)
		w.note("a WebSocket to " + event.URL)
	case *network.EventWebSocketFrameError:
		w.note("a WebSocket failed: " + event.ErrorMessage)
	case *network.EventWebSocketClosed:
		w.note("a WebSocket was closed")
	case *network.EventResponseReceived:
		if event.Response.Status >= 400 {
			w.note(fmt.Sprintf("%d from %s", event.Response.Status, event.Response.URL))
		}
	}
}

// request notes one that goes to anybody but the origin.
func (w *watched) request(to string) {
	asked, err := url.Parse(to)
	if err != nil {
		w.wrong("a request to " + to)
		return
	}
	own, err := url.Parse(w.origin)
	if err == nil && asked.Host != "" && asked.Host != own.Host {
		w.wrong("a request to somebody else: " + to)
	}
}

func (w *watched) wrong(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongs = append(w.wrongs, what)
}

func (w *watched) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, what)
}

func (w *watched) noted() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.notes, "\n")
}

func (w *watched) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrongs
}

// Forgive takes back what went wrong so far and holds a text: that of an attack which has to fail.
// It reports how often.
func (p *Page) Forgive(text string) (times int) {
	p.watched.mu.Lock()
	defer p.watched.mu.Unlock()
	kept := p.watched.wrongs[:0]
	for _, wrong := range p.watched.wrongs {
		if strings.Contains(wrong, text) {
			times++
			continue
		}
		kept = append(kept, wrong)
	}
	p.watched.wrongs = kept
	return times
}

func thrown(details *runtime.ExceptionDetails) string {
	if details.Exception != nil && details.Exception.Description != "" {
		return details.Exception.Description
	}
	return details.Text
}

func said(args []*runtime.RemoteObject) string {
	var parts []string
	for _, arg := range args {
		parts = append(parts, unquoted(arg))
	}
	return strings.Join(parts, " ")
}

// unquoted is a value as text.
func unquoted(value *runtime.RemoteObject) string {
	var text string
	switch {
	case value.Description != "":
		return value.Description
	case json.Unmarshal(value.Value, &text) == nil:
		return text
	}
	return string(value.Value)
}
