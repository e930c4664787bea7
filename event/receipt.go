package event

import (
	"context"
	"errors"
	"fmt"

	"keyhall.dev/keyhall/trust"
)

// receiptType is the type of a receipt: an event that says that the work which came out of
// another one is done, by the trail that led there.
const receiptType = "receipt"

// ErrNoReceipt is the error of a receipt that nobody asked for.
var ErrNoReceipt = errors.New("no receipt is wanted")

// Receipt tells the first publisher of an event's trail that the work is done, if they
// wanted to know: an event for them alone, with the whole trail, on the subject they named.
func (p *Publisher) Receipt(ctx context.Context, done *Received) (*Published, error) {
	first := done.Origin()
	if first.Receipt == "" {
		return nil, ErrNoReceipt
	}
	return p.Publish(ctx, first.Receipt, nil, Type(receiptType), To(first.Author.Text(trust.Account)), From(done))
}

// IsReceiptFor returns an error unless the event is the receipt for one that its reader
// published.
func (r *Received) IsReceiptFor(published *Event) error {
	switch {
	case r.Type != receiptType || r.Subject != published.Receipt:
		return fmt.Errorf("%w: it is no receipt, or stands elsewhere than it was wanted", ErrNotMeant)
	case len(r.Trail) == 0 || r.Origin().Hash() != published.Hash():
		return fmt.Errorf("%w: it is the receipt for another event", ErrNotMeant)
	}
	return nil
}
