package seal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// The bodies of the tests, field by field as the page has them.
var (
	hubID   = trust.PublicKey(counting(1, 32)).Text(trust.Operator)
	id      = trust.FormatID([16]byte(counting(7, 16)))
	xkey    = trust.NewXKey().String()
	request = seal.Request{Hub: hubID, Grant: id, Entry: "a/b <c>.txt", XKey: xkey}
	answer  = seal.Answer{
		Open: seal.Hash{1}, Transfer: id, Node: id, Key: seal.Key(counting(0, 32)), Size: 5, Block: seal.BlockSize,
		Root: seal.Hash{2}, Expires: time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC),
	}
	refusal = seal.Refusal{Open: seal.Hash{3}, Reason: seal.Reason{Code: seal.CodeBusy, Message: "later"}}
)

func TestBodiesAreCanonicalJSONInTheOrderOfThePage(t *testing.T) {
	zeros := strings.Repeat("0", 62)
	withRoot := request
	withRoot.Entry, withRoot.Root = "", seal.Hash{9}
	tests := []struct {
		name string
		body interface{ Encode() ([]byte, error) }
		want string
	}{
		{"request", request, `{"hub":"` + hubID + `","grant":"` + id + `","entry":"a/b <c>.txt","xkey":"` + xkey + `"}`},
		{"request with a root", withRoot, `{"hub":"` + hubID + `","grant":"` + id + `","entry":"","root":"09` + zeros + `","xkey":"` + xkey + `"}`},
		{"answer", answer, `{"open":"01` + zeros + `","transfer":"` + id + `","node":"` + id +
			`","key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","size":5,"block":262144,"root":"02` + zeros +
			`","expires":"2026-02-03T04:05:06.789Z"}`},
		{"refusal", refusal, `{"open":"03` + zeros + `","code":"busy","message":"later"}`},
	}
	for _, tt := range tests {
		got, err := tt.body.Encode()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if string(got) != tt.want {
			t.Errorf("%s is\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

func TestBodiesRoundTrip(t *testing.T) {
	data, _ := request.Encode()
	if got, err := seal.ParseRequest(data); err != nil || got != request {
		t.Errorf("request: %+v, %v", got, err)
	}
	data, _ = answer.Encode()
	if got, err := seal.ParseAnswer(data); err != nil || !cmp.Equal(got, answer) {
		t.Errorf("answer: %+v, %v", got, err)
	}
	data, _ = refusal.Encode()
	if got, err := seal.ParseRefusal(data); err != nil || got != refusal {
		t.Errorf("refusal: %+v, %v", got, err)
	}
}

func TestAnswerExpiresInWholeMillisecondsOfUTC(t *testing.T) {
	a := answer
	a.Expires = answer.Expires.Add(999 * time.Microsecond).In(time.FixedZone("", 7200))
	data, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := seal.ParseAnswer(data); err != nil || got.Expires != answer.Expires {
		t.Errorf("it expires at %v, %v", got.Expires, err)
	}
}

func TestBodiesOutOfBoundsAreNeitherMadeNorRead(t *testing.T) {
	requests := []func(*seal.Request){
		func(r *seal.Request) { r.Hub = "" },
		func(r *seal.Request) { r.Hub = trust.PublicKey{}.Text(trust.Account) },
		func(r *seal.Request) { r.Grant = strings.ToUpper(id) },
		func(r *seal.Request) { r.Entry = "../secret" },
		func(r *seal.Request) { r.Entry = strings.Repeat("x", seal.MaxPath+1) },
		func(r *seal.Request) { r.XKey = hubID },
		func(r *seal.Request) { r.XKey = xkey + "\n" },
	}
	for i, change := range requests {
		r := request
		change(&r)
		refuseBody(t, fmt.Sprint("request ", i), r, func(b []byte) error { _, err := seal.ParseRequest(b); return err })
	}
	answers := []func(*seal.Answer){
		func(a *seal.Answer) { a.Transfer = id[1:] },
		func(a *seal.Answer) { a.Node = "" },
		func(a *seal.Answer) { a.Size = -1 },
		func(a *seal.Answer) { a.Size = seal.MaxSize + 1 },
		func(a *seal.Answer) { a.Block = 65536 },
		func(a *seal.Answer) { a.Block = 0 },
		func(a *seal.Answer) { a.Expires = time.Time{} },
		func(a *seal.Answer) { a.Expires = time.Unix(-1, 0).UTC() },
	}
	for i, change := range answers {
		a := answer
		change(&a)
		refuseBody(t, fmt.Sprint("answer ", i), a, func(b []byte) error { _, err := seal.ParseAnswer(b); return err })
	}
	refusals := []func(*seal.Refusal){
		func(r *seal.Refusal) { r.Code = "" },
		func(r *seal.Refusal) { r.Code = "else" },
		func(r *seal.Refusal) { r.Message = strings.Repeat("x", seal.MaxMessage+1) },
	}
	for i, change := range refusals {
		r := refusal
		change(&r)
		refuseBody(t, fmt.Sprint("refusal ", i), r, func(b []byte) error { _, err := seal.ParseRefusal(b); return err })
	}
}

// refuseBody checks that body is not encoded, and that its JSON made all the same is not read.
func refuseBody(t *testing.T, name string, body interface{ Encode() ([]byte, error) }, parse func([]byte) error) {
	t.Helper()
	if _, err := body.Encode(); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("%s is made: %v", name, err)
	}
	data, err := trust.Canonical(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := parse(data); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("%s is read: %v", name, err)
	}
}

func TestBodiesInAnotherFormAreRefused(t *testing.T) {
	good, _ := answer.Encode()
	text := string(good)
	zone := strings.Replace(text, "789Z", "789+02:00", 1)
	micro := strings.Replace(text, "789Z", "789001Z", 1)
	padded := strings.Replace(text, "789Z", "7890Z", 1)
	upper := strings.Replace(text, `"root":"02`, `"root":"0A`, 1)
	for _, bad := range []string{
		"", "{}", "null", "[]", text + "\n", " " + text, zone, micro, padded, upper,
		strings.Replace(text, `"size":5`, `"size":5.0`, 1),
		strings.Replace(text, `"size":5`, `"size":5,"size":5`, 1),
		strings.Replace(text, `"size":5`, `"size":null`, 1),
		strings.Replace(text, `"size":5`, `"size":5,"more":1`, 1),
		strings.Replace(text, `"size"`, `"Size"`, 1),
		strings.Replace(text, `Hh8=`, `Hh9=`, 1), // bits that base64 does not use
		strings.Replace(text, `Hh8=`, `Hh8`, 1),
		strings.Repeat(" ", 1<<20) + text,
	} {
		if bad == text {
			t.Fatal("a case changes nothing")
		}
		if _, err := seal.ParseAnswer([]byte(bad)); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%.300s: error is %v, want ErrMalformed", bad, err)
		}
	}
	if _, err := seal.ParseRequest([]byte(`{"hub":"` + hubID + `","grant":"` + id + `","entry":"","root":"` + strings.Repeat("0", 64) + `","xkey":"` + xkey + `"}`)); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("a root of zeros: error is %v, want ErrMalformed", err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	a := answer
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", a.Key)
	for _, text := range []string{fmt.Sprint(a.Key), fmt.Sprintf("%v %+v %#v %s", a, a, a, a.Key), log.String()} {
		if strings.Contains(text, "AAECAwQF") || strings.Contains(text, "0 1 2 3") || strings.Contains(text, "0x1, 0x2") {
			t.Errorf("the key shows in %s", text)
		}
	}
	data, err := json.Marshal(a.Key)
	if err != nil || string(data) != `"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="` {
		t.Errorf("in JSON it is %s, %v", data, err)
	}
	if one, other := seal.NewKey(), seal.NewKey(); one == other {
		t.Error("two new keys are the same")
	}
}
