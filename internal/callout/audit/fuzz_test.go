package audit_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/trust"
)

// Whatever lies in the stream, a reader shows what the callout signed, or says that it is none.
func FuzzReadRecord(f *testing.F) {
	account, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	e := &event.Event{
		Author: account.Public(), Type: "callout.login", Subject: audit.LoginSubject, Body: []byte(`{"outcome":"allowed","name":"alice","took_us":1}`),
	}
	if err := e.Sign(device); err != nil {
		f.Fatal(err)
	}
	headers := []string{"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "Keyhall-Token", "Keyhall-Access", nats.MsgIdHdr}
	compact := (&event.Envelope{Event: e, Access: "token"}).Msg(event.Compact)
	f.Add(compact.Subject, compact.Data, nats.MsgIdHdr, compact.Header.Get(nats.MsgIdHdr), "Keyhall-Access", "token")
	f.Add(audit.GapSubject, compact.Data, nats.MsgIdHdr, compact.Header.Get(nats.MsgIdHdr), "Keyhall-Access", "token")
	for _, header := range headers {
		f.Add(audit.LoginSubject, []byte(`{"outcome":"allowed"}`), header, "1.0", "ce-type", "callout.login")
	}
	reader := audit.Reader{Devices: []string{device.String()}}
	f.Fuzz(func(t *testing.T, subject string, data []byte, first, firstValue, second, secondValue string) {
		message := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{first: {firstValue}}}
		message.Header[second] = append(message.Header[second], secondValue)
		record := reader.RecordOf(message)
		shows := record.Login != nil || record.Closed != nil || record.Gap != nil
		if shows == (record.Err != nil) {
			t.Fatalf("%+v", record)
		}
		if shows && (record.Login == nil || record.Login.Name != "alice") {
			t.Fatalf("shows what nobody signed: %+v", record)
		}
	})
}
