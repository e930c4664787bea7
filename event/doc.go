// Package event lets programs that share nothing but a NATS server believe what they read:
// each event proves who said it, when, where and to whom, and that not a byte was changed,
// wherever it is stored and whoever hands it over.
//
// # Two tokens
//
// Every message carries two statements.
//
// The access token says who a publisher is. It is a NATS user JWT, as nsc makes them: an
// account vouches for a user's key. With the account's own JWT behind it, an operator
// vouches for the account. An [Access] is one that was read.
//
// The event token says everything about one [Event]: its id, author and device, the time,
// the exact subject, the type and audience, until when to act on it, its place in a chain,
// what it came out of, and the hash of its data. The publisher signs it with the user's key.
// An event that is taken to another subject, read by somebody for whom it was not meant, or
// handed on with other data is refused.
//
// Nothing is secret in either, and nobody who reads can forge: a reader knows public keys
// alone. A [TokenManager] makes and checks both by its [Rules], which say whose word counts:
// that of accounts, for their own users, and that of operators, for everybody in their
// accounts. The zero Rules believe nobody. Access tokens are judged at the time of the event,
// so that an event outlives the token of its publisher and a reader may be late.
//
//	// The account vouches for the till: with nsc, this is any user of it.
//	shop, till := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
//	access, err := jwt.NewUserClaims(till.String()).Encode(shop.NKey())
//	if err != nil {
//		log.Fatal(err)
//	}
//
//	// The kitchen knows the shop's account key, and nothing else.
//	checks, err := event.NewTokenManager(event.Rules{Accounts: []string{shop.String()}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	done := make(chan bool)
//	kitchen := event.NewSubscriber(nc, checks, event.SubscriberOptions{})
//	if _, err := kitchen.Subscribe(ctx, "orders.new", func(_ context.Context, r *event.Received) error {
//		fmt.Printf("%s: %s\n", r.Type, r.Data)
//		done <- true
//		return nil
//	}); err != nil {
//		log.Fatal(err)
//	}
//
//	signs, err := event.NewTokenManager(event.Rules{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	if err := signs.SignAs(till, access); err != nil {
//		log.Fatal(err)
//	}
//	pub := event.NewPublisher(nc, signs, event.PublisherOptions{})
//	if _, err := pub.Publish(ctx, "orders.new", []byte("two loaves"), event.Type("order.placed")); err != nil {
//		log.Fatal(err)
//	}
//	<-done
//
// # Publishing and subscribing
//
// A [Publisher] publishes on core NATS or into a stream, alone or many under one signature
// ([Publisher.PublishBatch]). With [PublisherOptions.LeaveAccess] the access token travels
// once and then by its hash, which subscribers look up in an [AccessBucket] or ask the
// publisher for ([LiveAccess]). With [PublisherOptions.Places] each event names the one
// before it, so that nobody can leave one out unseen.
//
// A [Subscriber] gives handlers verified events and nothing else, from core NATS
// ([Subscriber.Subscribe]) or a durable consumer ([Subscriber.Consume]), each of them once:
// copies are refused. What fails goes to [SubscriberOptions.Failed] with the reason, and what
// can never be handled to [SubscriberOptions.DeadLetter]. A handler that publishes what came
// out of an event says so with [From]: then the trail of all publishers from the first to the
// last travels with it, and [Publisher.Receipt] tells the first one that the work is done.
//
// In a message with headers, a public event is a CloudEvent of version 1.0 whose data are
// as they are; whoever knows CloudEvents reads it without knowing of this package. [Compact]
// costs less. [Envelope.JSON] is for files and logs.
//
// On a private stream the data are sealed for its readers. A [Ring] has their keys: keepers
// begin epochs for some readers and grant keys to more; whoever is not in the next epoch reads
// nothing of it. A full member of the NATS account, or the server, reads nothing at all.
//
// # Requests
//
// A [Requester] asks, and a [Responder] answers nowhere but in the private inbox of the key
// that signed the request: within one account, who may ask a service can otherwise have its
// answer delivered to anybody, with the service's rights. The answer is an event that came
// out of that very request, by one of those who may answer it.
//
// # What is proved, and what is not
//
// Proved of a handled event: a device for which somebody who is believed vouches signed these
// data, for this subject, type and audience; no check depends on the server, nor on who else
// may publish.
//
// The time is the publisher's word, held against the reader's clock and the stream's
// timestamp. It keeps publishers from dating back, but the stream's host can say what it likes
// of when it stored something. It can also keep events back. Where the host is not
// trusted, use chains, and revoke with the last good place of each ([Revocation]).
//
// Copies are known as long as they are remembered: see [SubscriberOptions.Memory]. A stolen
// device key speaks for its owner until it is revoked ([TokenManager.Revoke]) or its access
// token ends. That somebody signed something does not make it true.
//
// # Events by themselves
//
// Keyhall's own chains and rooms use events without this machinery: [Event.Sign] and
// [Event.Encode] on one side, [Decode], which believes nothing, and [Event.Check] on the
// other, where the caller knows whose devices count. A body may be sealed under an
// [EpochKey], so that relays verify without reading.
//
// The layout is stated in docs/protocol/events.md, requests in docs/protocol/requests.md, and
// everything else in docs/protocol/streams.md.
package event
