package client

import (
	"errors"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// What a backup says is judged here; test/vectors meets the rest of the file.
func TestBackupMeetsItsVectors(t *testing.T) {
	var vectors recoveryVectors
	readVectors(t, "recovery.json", &vectors)
	code, err := trust.ParseRecovery(vectors.Code)
	if err != nil {
		t.Fatal(err)
	}
	found, err := openBackup(vectors.Hub, code, vectors.event(t, vectors.Event))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := trust.Canonical(found); err != nil || string(text) != vectors.Plaintext {
		t.Errorf("%s, %v", text, err)
	}
	want := map[string]error{
		"signature": event.ErrSignature, "co-signature": event.ErrSignature, "not-meant": event.ErrNotMeant, "malformed": event.ErrMalformed,
		"sealed": trust.ErrBackup, "content": trust.ErrBackup, "canonical": trust.ErrCanonical,
	}
	for _, r := range vectors.Refused {
		if _, err := openBackup(vectors.Hub, code, vectors.event(t, r.Event)); !errors.Is(err, want[r.Why]) {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
	if len(vectors.Refused) < 15 {
		t.Errorf("only %d are refused", len(vectors.Refused))
	}
}

// What an owner says of the time of an open, and a reader of an answer's body.
func TestHandshakeMeetsItsVectors(t *testing.T) {
	var vectors struct {
		Now            int64
		Open           hexed
		Answer         string
		OpenHash, Root hexed
		RefusedOpens   []struct {
			Name, Why string
			Open      hexed
		}
	}
	readVectors(t, "handshake.json", &vectors)
	now := time.UnixMilli(vectors.Now)
	judge := func(data []byte) error {
		ev, err := event.Decode(data)
		if err != nil {
			return err
		}
		return freshOpen(ev, now)
	}
	if err := judge(vectors.Open); err != nil {
		t.Error(err)
	}
	late := 0
	for _, r := range vectors.RefusedOpens {
		if err := judge(r.Open); (r.Why == "time") != errors.Is(err, event.ErrTime) {
			t.Errorf("%s: %v", r.Name, err)
		} else if err != nil {
			late++
		}
	}
	if late != 4 {
		t.Errorf("%d are of another time", late)
	}
	answer, err := (&source{root: [32]byte(vectors.Root)}).judgeBody(answerType, [32]byte(vectors.OpenHash), []byte(vectors.Answer))
	if err != nil || answer.Size != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
}
