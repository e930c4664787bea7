package audit

import "github.com/nats-io/nats.go"

// RecordOf verifies one message as a reader does.
func (r *Reader) RecordOf(message *nats.Msg) *Record {
	record, _ := r.record(message)
	return record
}
