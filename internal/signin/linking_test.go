package signin_test

import (
	"bytes"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

type linkAnswer struct {
	Answer []byte `json:"answer,omitempty"`
}

// TestABrowserIsLinkedByACodeThatAnotherDeviceShows: the whole way, as a browser goes it.
func TestABrowserIsLinkedByACodeThatAnotherDeviceShows(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	offer, err := alice.OfferLink("")
	must(t, err)
	if !strings.HasSuffix(offer.URL, "/link#"+offer.Code) {
		t.Errorf("the link is %s", offer.URL)
	}
	link, err := trust.ParseLink(alice.HubID(), strings.ToUpper(offer.Code))
	must(t, err)
	b, device, single := hall.Browser(), trust.NewKeyPair(trust.Device), trust.NewXKey()
	ask, err := link.SealAsk(trust.LinkAsk{Device: device.String(), XKey: single.String(), Name: "firefox"})
	must(t, err)
	want(t, "asking", b.Post("/api/link/ask", map[string]any{"link": link.ID(), "ask": ask}), 200, "")
	asked, err := offer.Await(ctx)
	must(t, err)
	if asked.Name != "firefox" || asked.Words != link.Words(ask) || asked.Device != device.String() {
		t.Errorf("%+v, and the browser shows %s", asked, link.Words(ask))
	}
	want(t, "asking a second time", b.Post("/api/link/ask", map[string]any{"link": link.ID(), "ask": ask}), 409, fault.Taken)
	if _, err := offer.Accept(ctx, 0); !fault.Is(err, fault.Malformed) {
		t.Errorf("for no time: %v", err)
	}
	token, err := offer.Accept(ctx, 24*3600*1e9)
	must(t, err)
	sealed := hubtest.Read[linkAnswer](t, b.Post("/api/link/answer", map[string]string{"link": link.ID()})).Answer
	answer, own, err := link.OpenAnswer(single, ask, sealed)
	must(t, err)
	if own.Device != device.Public() || own.Text != token.Text || answer.Handle != "alice" || answer.Account != alice.Profile.Settings.Account {
		t.Errorf("%+v", answer)
	}
	if err := offer.Refuse(ctx); !fault.Is(err, fault.Taken) {
		t.Errorf("a second answer: %v", err)
	}
	if _, err := trust.ParseLink(alice.HubID(), offer.Code); err != nil {
		t.Error(err)
	}
	// Another person's code is another place: nobody meets there.
	elsewhere := trust.NewLink(alice.HubID())
	want(t, "an answer that nobody asked for", b.Post("/api/link/answer", map[string]string{"link": elsewhere.ID()}), 410, fault.Expired)
}

func TestWhatALinkTakesIsBounded(t *testing.T) {
	hall := hubtest.StartBehind(t, "127.0.0.1/32")
	hall.Join("alice")
	b := hall.Browser()
	b.Header.Set("X-Forwarded-For", "203.0.113.9")
	ask := func(id string, data []byte) *hubtest.Answer {
		return b.Post("/api/link/ask", map[string]any{"link": id, "ask": data})
	}
	want(t, "no id", ask("x", []byte("x")), 400, fault.Malformed)
	want(t, "nothing", ask(trust.NewID(), nil), 400, fault.TooLarge)
	want(t, "too much", ask(trust.NewID(), bytes.Repeat([]byte("x"), 5<<10)), 400, fault.TooLarge)
	want(t, "the most", ask(trust.NewID(), bytes.Repeat([]byte("x"), 4<<10)), 200, "")
	var last *hubtest.Answer
	for range 40 {
		last = ask(trust.NewID(), []byte("x"))
	}
	want(t, "many from one address", last, 503, fault.Unavailable)
	b.Header.Set("X-Forwarded-For", "192.0.2.1")
	want(t, "from another", ask(trust.NewID(), []byte("x")), 200, "")
	for range 200 {
		last = ask("x", nil)
	}
	want(t, "without end", last, 429, "throttled")
}
