package api

import "time"

// LoginState says when the caller's password was set, absent for none, and when that changed
// the last time.
type LoginState struct {
	Password time.Time `json:"password,omitzero"`
	Changed  time.Time `json:"changed,omitzero"`
}

// LinkRequest names the place at the hub where two devices meet.
type LinkRequest struct {
	Link string `json:"link"`
}

// LinkAsked is what the new device asks, sealed; nil while nobody has asked.
type LinkAsked struct {
	Ask []byte `json:"ask,omitempty"`
}

// LinkAnswer is the answer to it, sealed.
type LinkAnswer struct {
	Link   string `json:"link"`
	Answer []byte `json:"answer"`
}
