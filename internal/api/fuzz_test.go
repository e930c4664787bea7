package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// decodes reads a request, and again what comes of it: both read alike.
func decodes[T any](t *testing.T, data []byte) {
	t.Helper()
	request, err := api.Decode[T](data)
	if err != nil {
		if !fault.Is(err, fault.Malformed) || request != nil {
			t.Fatalf("%T: %v", request, err)
		}
		return
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := api.Decode[T](text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, text) {
		t.Fatalf("%s is read as %s, %v", text, twice, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, request := range []any{
		api.FindRequest{Handle: "alice"},
		api.FindRequest{Account: "A"},
		api.PeopleRequest{After: "alice"},
		api.ChainRequest{Account: "hub", After: 1<<64 - 1},
		api.ChainRequest{Room: "r"},
		api.HistoryRequest{Room: "r", Limit: -1, Last: true},
		api.AwaitRequest{Account: "A", Seq: 1},
		api.ProveRequest{Challenge: make([]byte, 32), Document: []byte{}},
		api.KickRequest{Server: "N", Client: 1},
		api.RebuildRequest{Projection: "people"},
		api.SessionsRequest{Who: "alice"},
		api.CloseRequest{Session: "N/1", Seconds: -1},
		api.ConnectionGone{Account: "A", Server: "N", Client: 1},
	} {
		data, err := json.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{"", "null", "{}", "[]", "{", `{"after":-1}`, `{"after":18446744073709551616}`, `{"room":"\ud800"}`, "\xff"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		decodes[api.FindRequest](t, data)
		decodes[api.PeopleRequest](t, data)
		decodes[api.ChainRequest](t, data)
		decodes[api.HistoryRequest](t, data)
		decodes[api.AwaitRequest](t, data)
		decodes[api.ProveRequest](t, data)
		decodes[api.KickRequest](t, data)
		decodes[api.RebuildRequest](t, data)
		decodes[api.SessionsRequest](t, data)
		decodes[api.CloseRequest](t, data)
		decodes[api.ConnectionGone](t, data)
	})
}

// DecodeEvent lets in what its caller signed just now, as far as it says itself: nothing else.
func FuzzDecodeEvent(f *testing.F) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	for _, at := range []time.Time{{}, time.Now().Add(time.Hour), time.Now().Add(-time.Hour)} {
		ev := &event.Event{Author: identity.Public(), Time: at, Type: "person.invite", Subject: "ledger.person." + identity.String(), Audience: "O", Seq: 1}
		if err := ev.Sign(device); err != nil {
			f.Fatal(err)
		}
		f.Add(identity.String(), ev.Encode())
		f.Add("A", ev.Encode())
	}
	f.Add("", []byte{1, 1, 0, 0})
	f.Fuzz(func(t *testing.T, caller string, data []byte) {
		ev, err := api.DecodeEvent(caller, data)
		if err != nil {
			if !errors.Is(err, event.ErrMalformed) && !errors.Is(err, event.ErrTime) && !errors.Is(err, chain.ErrRefused) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		if ev.Author.Text(trust.Account) != caller || time.Since(ev.Time).Abs() > trust.ClockSkew+time.Minute || !bytes.Equal(ev.Encode(), data) {
			t.Fatalf("%+v for %q", ev, caller)
		}
	})
}
