package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"keyhall.dev/keyhall/trust"
)

const recoveryHub = "OAD4WVAPCKMHZNCCBQ5JA3GZ4T33C6W4ZXNSW7BQZ5Z7VQ4Q4J5J4U2M"

func TestRecoveryCodeComesBackFromItsText(t *testing.T) {
	made := trust.NewRecovery(recoveryHub)
	code := made.Code()
	if !regexp.MustCompile(`^kr(-[a-z2-7]{8}){8}$`).MatchString(code) {
		t.Fatalf("a code looks like %q", code)
	}
	for name, typed := range map[string]string{
		"as it is": code, "in capitals": strings.ToUpper(code), "with one dash": "kr-" + strings.ReplaceAll(code[3:], "-", ""),
		"without a dash": strings.ReplaceAll(code, "-", ""),
		"with spaces":    strings.ReplaceAll(code, "-", "- "), "on lines": strings.ReplaceAll(code, "-", "-\n"),
	} {
		read, err := trust.ParseRecovery(typed)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if read.Code() != code || read.Key().Public() != made.Key().Public() || read.Hub != trust.Fingerprint(recoveryHub) {
			t.Errorf("%s: another code came back", name)
		}
	}
}

func TestEveryMistypedCharacterOfARecoveryCodeIsNoticed(t *testing.T) {
	code := trust.NewRecovery(recoveryHub).Code()
	for i := 3; i < len(code); i++ {
		if code[i] == '-' {
			continue
		}
		for _, other := range "abcdefghijklmnopqrstuvwxyz234567018" {
			if byte(other) == code[i] {
				continue
			}
			typed := code[:i] + string(other) + code[i+1:]
			// 24 bits of check: one in sixteen million of these would pass.
			if _, err := trust.ParseRecovery(typed); !errors.Is(err, trust.ErrRecovery) {
				t.Fatalf("character %d mistyped: %v", i, err)
			}
		}
	}
	for _, text := range []string{"", "kr-", "kr", code[3:], code[:len(code)-1], code + "a", "kh-" + code[3:], strings.Repeat("a", 5000)} {
		if _, err := trust.ParseRecovery(text); !errors.Is(err, trust.ErrRecovery) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestABackupOpensWithItsCodeAtItsHubAlone(t *testing.T) {
	r, text := trust.NewRecovery(recoveryHub), []byte("everything")
	blob := r.Seal(recoveryHub, text)
	if bytes.Equal(blob, r.Seal(recoveryHub, text)) {
		t.Error("two backups of one thing are the same")
	}
	if got, err := r.Open(recoveryHub, blob); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("open: %q, %v", got, err)
	}
	if _, err := r.Open(recoveryHub+"2", blob); !errors.Is(err, trust.ErrBackup) {
		t.Errorf("at another hub: %v", err)
	}
	if _, err := trust.NewRecovery(recoveryHub).Open(recoveryHub, blob); !errors.Is(err, trust.ErrBackup) {
		t.Errorf("with another code: %v", err)
	}
	for i := range blob {
		blob[i] ^= 1
		if _, err := r.Open(recoveryHub, blob); !errors.Is(err, trust.ErrBackup) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		blob[i] ^= 1
	}
	for _, short := range [][]byte{nil, blob[:11], blob[:27], blob[:len(blob)-1]} {
		if _, err := r.Open(recoveryHub, short); !errors.Is(err, trust.ErrBackup) {
			t.Errorf("%d bytes: %v", len(short), err)
		}
	}
}

func TestPrintingARecoveryCodeShowsNothingOfIt(t *testing.T) {
	r := trust.NewRecovery(recoveryHub)
	for _, shown := range []string{fmt.Sprint(r), fmt.Sprintf("%v %+v %#v %s", r, r, r, r)} {
		if strings.Contains(shown, r.Code()[24:32]) || strings.Contains(shown, "[") {
			t.Errorf("it shows %q", shown)
		}
	}
}

func FuzzParseRecovery(f *testing.F) {
	code := trust.NewRecovery(recoveryHub).Code()
	for _, seed := range []string{code, strings.ToUpper(code), "kr-", code[:40], code + code, "kr-\n" + code[3:], "\u212Ar-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := trust.ParseRecovery(text)
		if err != nil {
			if !errors.Is(err, trust.ErrRecovery) || (len(text) > 8 && strings.Contains(err.Error(), text)) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		again, err := trust.ParseRecovery(r.Code())
		if err != nil || again.Code() != r.Code() {
			t.Fatalf("%q does not come back: %v", text, err)
		}
	})
}
