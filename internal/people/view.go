package people

import (
	"context"
	"encoding/base32"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// Bucket is the bucket of the people projection.
const Bucket = "PEOPLE"

// View reads what the people projection wrote. Its keys: person.<A>, handle.<base32>,
// device.<U>, invite.<U>, hub.
type View struct{ view *ledger.View }

// OpenView opens the view.
func OpenView(ctx context.Context, l *ledger.Ledger) (*View, error) {
	view, err := l.OpenView(ctx, Bucket)
	if err != nil {
		return nil, err
	}
	return &View{view}, nil
}

// PersonKey is the key of a person's snapshot.
func PersonKey(account string) string { return "person." + account }

// handleKey spells a handle in the characters that keys may have.
func handleKey(handle string) string {
	return "handle." + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(handle))
}

// Person is the snapshot of a person by account; the error has code NotFound for nobody.
func (v *View) Person(ctx context.Context, account string) (*ledger.Snapshot[chain.Person], error) {
	if _, err := trust.ParsePublicKey(trust.Account, account); err != nil {
		return nil, fault.New(fault.Malformed, "%q is not an account", account)
	}
	var snapshot ledger.Snapshot[chain.Person]
	_, found, err := v.view.Get(ctx, PersonKey(account), &snapshot)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.New(fault.NotFound, "nobody on this hub has the account %s", account)
	}
	return &snapshot, nil
}

// ByHandle is the snapshot of a person by handle.
func (v *View) ByHandle(ctx context.Context, text string) (*ledger.Snapshot[chain.Person], error) {
	handle, err := trust.Name(text)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%q: %w", text, err)
	}
	var account string
	_, found, err := v.view.Get(ctx, handleKey(handle), &account)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.New(fault.NotFound, "nobody on this hub is called %q", handle)
	}
	return v.Person(ctx, account)
}

// Device is the person whose device has the key.
func (v *View) Device(ctx context.Context, device string) (*ledger.Snapshot[chain.Person], error) {
	if _, err := trust.ParsePublicKey(trust.Device, device); err != nil {
		return nil, fault.New(fault.Malformed, "not a device key")
	}
	var account string
	_, found, err := v.view.Get(ctx, "device."+device, &account)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.New(fault.NotFound, "no such device on this hub")
	}
	return v.Person(ctx, account)
}

// Invitation is what is known of an invite key.
type Invitation struct {
	Seq     uint64    `json:"seq"` // newest stream sequence that changed it
	Inviter string    `json:"inviter"`
	Uses    int       `json:"uses"`
	Used    int       `json:"used"`
	Expires time.Time `json:"expires"`
}

// Open reports whether one more may be admitted by it at now.
func (i *Invitation) Open(now time.Time) bool { return i.Used < i.Uses && now.Before(i.Expires) }

// Invitation looks an invite key up.
func (v *View) Invitation(ctx context.Context, invite string) (*Invitation, error) {
	if _, err := trust.ParsePublicKey(trust.Device, invite); err != nil {
		return nil, fault.New(fault.Malformed, "not an invite key")
	}
	found := new(Invitation)
	_, ok, err := v.view.Get(ctx, "invite."+invite, found)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "no such invite")
	}
	return found, nil
}

// accounts lists everybody's account, in no order.
func (v *View) accounts(ctx context.Context) ([]string, error) {
	keys, err := v.view.Keys(ctx, "person.*")
	for i := range keys {
		keys[i] = strings.TrimPrefix(keys[i], "person.")
	}
	return keys, err
}

// Count counts people and devices.
func (v *View) Count(ctx context.Context) (people, devices int, err error) {
	accounts, err := v.accounts(ctx)
	if err != nil {
		return 0, 0, err
	}
	keys, err := v.view.Keys(ctx, "device.*")
	return len(accounts), len(keys), err
}
