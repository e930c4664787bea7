// Package api is the hub API: its requests and answers, and the one way in which the
// hub's services offer their verbs and its clients call them.
//
// A verb is a NATS micro endpoint at hub.<account>.<service>.<verb> in account HUB. The
// account in the subject is vouched for by NATS (the export's account token position): it
// is good enough to refuse early. What counts is the signature on the events that a
// request carries. See docs/protocol/subjects.md.
package api
