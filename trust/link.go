package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tyler-smith/go-bip39/wordlists"
)

// ErrLink is the error of text that is not a link code, and of what does not hold under one.
var ErrLink = errors.New("not a link code")

const (
	linkPrefix = "kl-"
	linkGroup  = 4    // characters
	linkWords  = 4    // of 11 bits each
	maxLink    = 4096 // bytes of an ask
	maxAnswer  = 16 << 10
)

// Link is a one-time code by which a person's device lets a new one in, at one hub. Its
// secret has 80 bits, and ten minutes to be guessed in. Printing one shows nothing; Code does.
type Link struct {
	hub    string // id
	secret [10]byte
	id     [16]byte
	key    [32]byte
}

// LinkAsk is what a device says that wants in.
type LinkAsk struct {
	Hub    string `json:"hub"`    // id
	Device string `json:"device"` // its key (U…)
	XKey   string `json:"xkey"`   // a single-use one, to which the answer is sealed
	Name   string `json:"name"`   // that it would like
}

// LinkAnswer is what it gets.
type LinkAnswer struct {
	Hub     string   `json:"hub"` // id
	Account string   `json:"account"`
	Handle  string   `json:"handle"`
	Token   string   `json:"token"` // device token
	XKeys   []string `json:"xkeys"` // seeds of the person's xkeys, the newest first
	Seq     uint64   `json:"seq"`   // newest place of the person's chain
	Head    string   `json:"head"`  // and its hash, in hex
}

// NewLink makes a link code with a fresh secret, for the hub with the given id.
func NewLink(hubID string) *Link {
	var secret [10]byte
	rand.Read(secret[:]) // never fails since Go 1.24
	return newLink(hubID, secret)
}

func newLink(hubID string, secret [10]byte) *Link {
	l := &Link{hub: hubID, secret: secret}
	copy(l.id[:], derived(hubID, secret[:], "link-id", len(l.id)))
	copy(l.key[:], derived(hubID, secret[:], "link-key", len(l.key)))
	return l
}

// ParseLink reads a link code for the hub with the given id; case, spaces and dashes do not
// matter. Errors match ErrLink and show nothing of the text.
func ParseLink(hubID, code string) (*Link, error) {
	if len(code) > 1024 {
		return nil, fmt.Errorf("%w: too long", ErrLink)
	}
	text := strings.ReplaceAll(strings.Join(strings.Fields(strings.ToLower(code)), ""), "-", "")
	text, found := strings.CutPrefix(text, strings.TrimSuffix(linkPrefix, "-"))
	if !found {
		return nil, fmt.Errorf("%w: it should begin with %q", ErrLink, linkPrefix)
	}
	raw, err := idText.DecodeString(text)
	if err != nil || len(raw) != 10 || idText.EncodeToString(raw) != text {
		return nil, fmt.Errorf("%w: a character is missing or mistyped", ErrLink)
	}
	return newLink(hubID, [10]byte(raw)), nil
}

// Code is the code's text: prefix and four groups of four characters. It is a secret.
func (l *Link) Code() string {
	text := idText.EncodeToString(l.secret[:])
	groups := make([]string, 0, len(text)/linkGroup)
	for ; text != ""; text = text[linkGroup:] {
		groups = append(groups, text[:linkGroup])
	}
	return linkPrefix + strings.Join(groups, "-")
}

// ID is the id of the place at the hub where the two devices meet. It tells nothing of the code.
func (l *Link) ID() string { return FormatID(l.id) }

// SealAsk seals what the new device asks.
func (l *Link) SealAsk(ask LinkAsk) ([]byte, error) {
	ask.Hub = l.hub
	text, err := Canonical(ask)
	if err != nil {
		return nil, err
	}
	return sealed(l.key[:]).Seal(nil, nil, text, l.askData()), nil
}

// OpenAsk opens what SealAsk sealed under the same code, and checks what it says. Errors
// match ErrLink.
func (l *Link) OpenAsk(data []byte) (*LinkAsk, error) {
	if len(data) > maxLink {
		return nil, fmt.Errorf("%w: what is asked is too long", ErrLink)
	}
	text, err := sealed(l.key[:]).Open(nil, nil, data, l.askData())
	if err != nil {
		return nil, fmt.Errorf("%w: what is asked does not open with it", ErrLink)
	}
	ask := new(LinkAsk)
	if err := ParseCanonical(text, ask); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLink, err)
	}
	_, err = ParsePublicKey(Device, ask.Device)
	if err != nil || ask.Hub != l.hub || CheckXKey(ask.XKey) != nil || !IsName(ask.Name) {
		return nil, fmt.Errorf("%w: what is asked cannot be", ErrLink)
	}
	return ask, nil
}

// Words are the words that both sides of a link show, for people to compare. ask is what was
// sealed.
func (l *Link) Words(ask []byte) string {
	hash := sha256.Sum256(ask)
	sum := sha256.Sum256(append(append(Label("link-words"), l.key[:]...), hash[:]...))
	words := make([]string, linkWords)
	for i := range words {
		index := 0
		for bit := 11 * i; bit < 11*(i+1); bit++ {
			index = index<<1 | int(sum[bit/8]>>(7-bit%8)&1)
		}
		words[i] = wordlists.English[index]
	}
	return strings.Join(words, " ")
}

// SealAnswer seals what the new device gets, for what it asked.
func (l *Link) SealAnswer(ask []byte, xkey string, answer LinkAnswer) ([]byte, error) {
	answer.Hub = l.hub
	text, err := Canonical(answer)
	if err != nil {
		return nil, err
	}
	return Box(xkey, "link", l.answerContext(ask), text)
}

// OpenAnswer opens the answer to ask with the xkey that was asked with, and checks that all
// in it is of one person: the token's. Errors match ErrLink.
func (l *Link) OpenAnswer(key *XKey, ask, box []byte) (*LinkAnswer, *DeviceToken, error) {
	if len(box) > maxAnswer {
		return nil, nil, fmt.Errorf("%w: the answer is too long", ErrLink)
	}
	text, err := Unbox(key, "link", l.answerContext(ask), box)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the answer does not open", ErrLink)
	}
	answer := new(LinkAnswer)
	if err := ParseCanonical(text, answer); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrLink, err)
	}
	token, err := ParseDeviceToken(answer.Token)
	if err != nil || answer.check(l.hub, token) != nil {
		return nil, nil, fmt.Errorf("%w: the answer cannot be", ErrLink)
	}
	return answer, token, nil
}

func (a *LinkAnswer) check(hubID string, token *DeviceToken) error {
	head, err := hex.DecodeString(a.Head)
	if err != nil || len(head) != 32 || hex.EncodeToString(head) != a.Head {
		return ErrLink
	}
	if a.Hub != hubID || a.Account != token.Account.Text(Account) || !IsName(a.Handle) || len(a.XKeys) == 0 || a.Seq == 0 {
		return ErrLink
	}
	for _, seed := range a.XKeys {
		if _, err := ParseXKeySeed([]byte(seed)); err != nil {
			return ErrLink
		}
	}
	return nil
}

// String shows that there is a code, and nothing of it.
func (l *Link) String() string { return "a link code" }

// GoString keeps the secret out of %#v.
func (l *Link) GoString() string { return l.String() }

func (l *Link) askData() []byte { return append(Label("link-ask"), l.id[:]...) }

func (l *Link) answerContext(ask []byte) []byte {
	hash := sha256.Sum256(ask)
	return append(append([]byte{}, l.id[:]...), hash[:]...)
}
