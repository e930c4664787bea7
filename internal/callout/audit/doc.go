// Package audit writes down every decision of a callout as a signed event in a JetStream
// stream, and reads them back.
//
// A login never waits for it. Decisions are handed over in memory; one goroutine signs many
// at once and publishes them, and goes on trying where the servers take none. What does not
// fit into the memory meanwhile is counted, logged, and written down as a gap.
//
// What an entry holds, and what never, is stated in docs/protocol/audit.md. It leaves to
// others who may reach the stream: an account in which nobody but the callout publishes to
// audit.> has an audit that nobody else can fill; that nobody else can forge it, the
// signatures see to.
package audit
