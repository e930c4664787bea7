package chain_test

import (
	"errors"
	"testing"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

func TestTheIdentityItselfBringsAPersonBack(t *testing.T) {
	h := newHall(t)
	ada := h.joins("ada")
	phone := trust.NewKeyPair(trust.Device)
	token := ada.token(phone, "phone", h.now, year)
	ada.takes(ada.saysBy(ada.identity, chain.AddDevice, chain.DeviceBody{Token: token}))
	ada.takes(ada.saysBy(ada.identity, chain.RevokeDevice, chain.RevokeDeviceBody{Device: ada.laptop.String()}))

	if err := h.fold(ada.says(chain.RotateXKey, chain.XKeyBody{XKey: trust.NewXKey().String()})); !errors.Is(err, chain.ErrRefused) {
		t.Errorf("the lost device rotates the xkey: %v", err)
	}
	fresh := trust.NewXKey().String()
	ada.takes(ada.saysBy(phone, chain.RotateXKey, chain.XKeyBody{XKey: fresh}))
	if got := h.world.People[ada.account()].XKey; got != fresh {
		t.Errorf("the xkey is %s, want %s", got, fresh)
	}
}

func TestTheIdentityItselfSaysNothingElse(t *testing.T) {
	h := newHall(t)
	ada, bob := h.joins("ada"), h.joins("bob")
	key := trust.NewKeyPair(trust.Device).String()
	for kind, body := range map[string]any{
		chain.Invite:     chain.InviteBody{Invite: key, Uses: 1, Expires: h.now.Add(day)},
		chain.RotateXKey: chain.XKeyBody{XKey: trust.NewXKey().String()},
		chain.Grant:      chain.GrantBody{Grant: trust.NewID(), Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}},
		chain.Decline:    chain.DeclineBody{Grant: trust.NewID(), Owner: bob.account()},
	} {
		if err := ada.chain.Apply(h.hub.ID, ada.saysBy(ada.identity, kind, body), false); !errors.Is(err, chain.ErrRefused) {
			t.Errorf("%s by the identity: %v", kind, err)
		}
	}
	other := bob.saysBy(bob.identity, chain.AddDevice, chain.DeviceBody{Token: bob.token(trust.NewKeyPair(trust.Device), "x", h.now, year)})
	if err := ada.chain.Apply(h.hub.ID, other, false); err == nil {
		t.Error("another's identity added a device")
	}
	foreign := bob.token(trust.NewKeyPair(trust.Device), "x", h.now, year)
	if err := ada.chain.Apply(h.hub.ID, ada.saysBy(ada.identity, chain.AddDevice, chain.DeviceBody{Token: foreign}), false); err == nil {
		t.Error("another's token was taken")
	}
	room := ada.opens(chain.Sealed)
	if err := ada.chain.VouchedAt(room.creation(ada, chain.CreateRoomBody{Room: trust.NewID(), Kind: chain.Sealed})); err != nil {
		t.Fatalf("the device itself is not vouched for: %v", err)
	}
}

func TestAnXKeyIsReplacedByAnotherXKeyAlone(t *testing.T) {
	h := newHall(t)
	ada := h.joins("ada")
	for name, body := range map[string]any{
		"the same": chain.XKeyBody{XKey: ada.xkey.String()}, "no key": chain.XKeyBody{}, "an account": chain.XKeyBody{XKey: ada.account()},
		"not canonical": `{"xkey": "` + trust.NewXKey().String() + `"}`,
	} {
		if err := ada.chain.Apply(h.hub.ID, ada.says(chain.RotateXKey, body), false); !errors.Is(err, chain.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
