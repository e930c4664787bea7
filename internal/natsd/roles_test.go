package natsd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/natsd"
)

func TestTheSentinelReachesNothingWithoutTheCallout(t *testing.T) {
	opts := quiet(t.TempDir())
	opts.AuthTimeout = 300 * time.Millisecond
	s := start(t, opts)
	for name, options := range map[string][]nats.Option{
		"sentinel JWT":     {nats.UserJWT(func() (string, error) { return s.Keys().Sentinel, nil }, noSignature)},
		"default sentinel": {nats.UserInfo("rooms", "")},
		"nothing at all":   {},
	} {
		nc, err := nats.Connect(s.ClientURL(), append(options, nats.Timeout(5*time.Second))...)
		if err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		}
	}
}

// TestTheSentinelMayDoNothing looks at the JWT itself: with the external authorization
// taken out of AUTH, the server lets the sentinel in, and its permissions hold.
func TestTheSentinelMayDoNothing(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	keys := s.Keys()
	auth, err := jwt.DecodeAccountClaims(keys.AccountJWTs()[keys.Auth])
	if err != nil {
		t.Fatal(err)
	}
	auth.Authorization = jwt.ExternalAuthorization{}
	pushAccount(t, s, auth)

	c := connect(t, s, nats.UserJWT(func() (string, error) { return keys.Sentinel, nil }, noSignature))
	c.publishRefused("anything")
	c.publishRefused("$SYS.REQ.USER.INFO")
	c.subscribeRefused("anything")
	c.subscribeRefused("_INBOX.x")
	c.subscribeRefused("$SYS.REQ.USER.AUTH")
}

func noSignature([]byte) ([]byte, error) { return nil, nil }

// pushAccount signs account claims and waits for the server to have them.
func pushAccount(t *testing.T, s *natsd.Server, claims *jwt.AccountClaims) {
	t.Helper()
	token, err := claims.Encode(s.Keys().OperatorSigner)
	if err != nil {
		t.Fatal(err)
	}
	sys := login(t, s, s.Keys().SystemUser)
	reply, err := sys.Request("$SYS.REQ.CLAIMS.UPDATE", []byte(token), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Code int `json:"code"`
		} `json:"data"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil || answer.Data.Code != 200 {
		t.Fatalf("push answered %s, %v", reply.Data, err)
	}
}

func TestTheCalloutHearsLoginRequestsAndNothingElse(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	c := login(t, s, s.Keys().CalloutUser)
	c.allowed("subscribe in a queue group", func() error {
		_, err := c.QueueSubscribeSync("$SYS.REQ.USER.AUTH", "callout")
		return err
	})
	for _, subject := range []string{"anything", "$SYS.REQ.USER.AUTH", "$SYS._INBOX.x", "$JS.API.INFO", "$SYS.REQ.CLAIMS.LIST", "_R_.x", c.NewInbox()} {
		c.publishRefused(subject)
	}
	for _, subject := range []string{">", "$SYS.>", "$SYS.REQ.>", "$SYS._INBOX.>", "anything", "_INBOX.>", "_R_.>"} {
		c.subscribeRefused(subject)
	}
}

func TestEveryServiceHasAPrivateInboxAndNoOther(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	k := s.Keys()
	all := []natsd.Login{k.SystemUser, k.HubUser, k.SignerUser, k.RoomsUser, k.CalloutUser}
	for i, l := range all {
		t.Run(l.Name, func(t *testing.T) {
			c := login(t, s, l)
			c.allowed("own inbox", func() error {
				_, err := c.SubscribeSync(c.NewInbox())
				return err
			})
			c.subscribeRefused("_INBOX.>")
			c.subscribeRefused("_INBOX.abc")
			c.subscribeRefused("_R_.>")
			c.subscribeRefused(">")
			c.subscribeRefused(all[(i+1)%len(all)].InboxPrefix() + ".>")
			c.publishRefused("_INBOX.abc")
			c.publishRefused("_R_.abc")
			c.publishRefused("anything")
		})
	}
}

func TestPlainInboxOfAClientLibraryIsRefused(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	c := login(t, s, s.Keys().HubUser, nats.CustomInboxPrefix(nats.InboxPrefix[:len(nats.InboxPrefix)-1]))
	c.subscribeRefused("_INBOX.>")
}

func TestHubServicesKeepLedgerAndProjections(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s := start(t, quiet(t.TempDir()))
	c := login(t, s, s.Keys().HubUser)
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	makeLedger(t, ctx, js)
	c.allowed("publish and consume with acknowledgement", func() error {
		if _, err := js.Publish(ctx, "ledger.hub", []byte("fact")); err != nil {
			return err
		}
		return consumeOne(ctx, js, "LEDGER", "people")
	})
	c.allowed("write and watch a bucket", func() error { return useBucket(ctx, js) })
	c.allowed("serve the hub API with micro", func() error {
		service, err := micro.AddService(c.Conn, micro.Config{Name: "people", Version: "1.0.0"})
		if err != nil {
			return err
		}
		return errors.Join(service.AddEndpoint("find", micro.HandlerFunc(func(r micro.Request) { r.Respond(nil) }),
			micro.WithEndpointSubject("hub.*.people.find")), service.Stop())
	})
	c.allowed("hear admissions", func() error {
		_, err := c.SubscribeSync("admission.*.admit")
		return err
	})
	c.subscribeRefused("signer.await") // only the signer answers as the signer
	c.subscribeRefused("ledger.>")
	c.publishRefused("$SYS.REQ.CLAIMS.UPDATE")
	c.publishRefused("hub.A.people.find")
}

func makeLedger(t *testing.T, ctx context.Context, js jetstream.JetStream) {
	t.Helper()
	config := jetstream.StreamConfig{Name: "LEDGER", Subjects: []string{"ledger.>"}, AllowDirect: true}
	if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
}

func consumeOne(ctx context.Context, js jetstream.JetStream, stream, durable string) error {
	consumer, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: durable})
	if err != nil {
		return fmt.Errorf("create consumer: %w", err)
	}
	message, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		return fmt.Errorf("next: %w", err)
	}
	if err := message.DoubleAck(ctx); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	_, err = consumer.Info(ctx)
	return err
}

func useBucket(ctx context.Context, js jetstream.JetStream) error {
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "people", History: 2})
	if err != nil {
		return err
	}
	if _, err := bucket.Put(ctx, "bob", []byte("1")); err != nil {
		return err
	}
	watch, err := bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer watch.Stop()
	select {
	case entry := <-watch.Updates():
		if entry == nil || entry.Key() != "bob" {
			return fmt.Errorf("watch brought %v", entry)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestTheSignerReadsTheLedgerAndWritesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s := start(t, quiet(t.TempDir()))
	hub := login(t, s, s.Keys().HubUser)
	hubJS, err := jetstream.New(hub.Conn)
	if err != nil {
		t.Fatal(err)
	}
	makeLedger(t, ctx, hubJS)
	if _, err := hubJS.Publish(ctx, "ledger.hub", []byte("fact")); err != nil {
		t.Fatal(err)
	}
	if err := useBucket(ctx, hubJS); err != nil {
		t.Fatal(err)
	}

	c := login(t, s, s.Keys().SignerUser)
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	c.allowed("follow the ledger", func() error { return consumeOne(ctx, js, "LEDGER", "signer") })
	c.allowed("follow the ledger in order", func() error {
		consumer, err := js.OrderedConsumer(ctx, "LEDGER", jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		_, err = consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
		return err
	})
	c.allowed("read a message", func() error {
		stream, err := js.Stream(ctx, "LEDGER")
		if err != nil {
			return err
		}
		_, err = stream.GetLastMsgForSubject(ctx, "ledger.hub")
		return err
	})
	c.allowed("read a bucket", func() error {
		bucket, err := js.KeyValue(ctx, "people")
		if err != nil {
			return err
		}
		_, err = bucket.Get(ctx, "bob")
		return err
	})
	checkSignerAnswers(t, c, hub)
	for _, subject := range []string{
		"ledger.hub", "$KV.people.bob", "signer.await", "$SYS.REQ.CLAIMS.UPDATE",
		"$JS.API.STREAM.DELETE.LEDGER", "$JS.API.STREAM.PURGE.LEDGER", "$JS.API.STREAM.UPDATE.LEDGER",
		"$JS.API.STREAM.MSG.DELETE.LEDGER", "$JS.API.CONSUMER.DELETE.KV_people.x",
	} {
		c.publishRefused(subject)
	}
	c.subscribeRefused("hub.>")
	c.subscribeRefused("admission.>")
}

func checkSignerAnswers(t *testing.T, signer, hub *client) {
	t.Helper()
	signer.allowed("answer signer.await", func() error {
		if _, err := signer.Subscribe("signer.await", func(m *nats.Msg) { m.Respond([]byte("live")) }); err != nil {
			return err
		}
		if err := signer.Flush(); err != nil {
			return err
		}
		_, err := hub.Request("signer.await", nil, 5*time.Second)
		return err
	})
}

func TestTheRoomsServiceKeepsItsStreamAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s := start(t, quiet(t.TempDir()))
	c := login(t, s, s.Keys().RoomsUser)
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	config := roomsStream()
	c.allowed("make, change, read and purge the stream", func() error {
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return err
		}
		stream, err := js.CreateOrUpdateStream(ctx, config)
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject("log.none"))
	})
	for _, subject := range []string{
		"$JS.API.STREAM.DELETE.ROOMS", "$JS.API.STREAM.CREATE.OTHER", "$JS.API.CONSUMER.CREATE.OTHER",
		"room.x.say.y", "feed.x", "$KV.x.y",
	} {
		c.publishRefused(subject)
	}
	c.subscribeRefused("feed.>")
	c.subscribeRefused("room.>")
}

func TestTheSystemUserPushesAccountsAndClosesConnections(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	person, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	public, err := person.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	pushAccount(t, s, jwt.NewAccountClaims(public))

	victim := login(t, s, s.Keys().RoomsUser)
	id, err := victim.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	sys := login(t, s, s.Keys().SystemUser)
	sys.allowed("close a connection", func() error {
		_, err := sys.Request("$SYS.REQ.SERVER."+victim.ConnectedServerId()+".KICK", fmt.Appendf(nil, `{"cid":%d}`, id), 5*time.Second)
		return err
	})
	eventually(t, func() error {
		if victim.IsClosed() {
			return nil
		}
		return errors.New("the connection is still open")
	})
	for _, subject := range []string{
		"$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.SERVER." + sys.ConnectedServerId() + ".RELOAD", "$SYS.REQ.SERVER.PING.x.y", "hub.x",
	} {
		sys.publishRefused(subject)
	}
}

func TestAUserWithoutPermissionsMayDoNothing(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(public)
	claims.IssuerAccount = s.Keys().Rooms
	token, err := claims.Encode(s.Keys().RoomsSigner)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, s, nats.UserJWTAndSeed(token, string(seed)))
	c.publishRefused("room.x.say.y")
	c.subscribeRefused("feed.x")
}

// TestAMembersReplySubjectIsNoCommand: JetStream itself answers a publisher, wherever
// the publisher's reply subject points, and no permission is asked. Commands must not
// take such an answer for an order; that they do not rests on JetStream's strict mode.
func TestAMembersReplySubjectIsNoCommand(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s := start(t, quiet(t.TempDir()))
	keys := s.Keys()
	js, err := jetstream.New(login(t, s, keys.RoomsUser).Conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(ctx, roomsStream())
	if err != nil {
		t.Fatal(err)
	}
	member := newMember(t, s, keys.Rooms, keys.RoomsSigner, "room.x.say.A")
	commands := []string{
		"$JS.API.STREAM.PURGE.ROOMS", "$JS.API.STREAM.DELETE.ROOMS", "$JS.API.STREAM.MSG.DELETE.ROOMS", "$JS.API.STREAM.UPDATE.ROOMS",
	}
	for _, command := range commands {
		member.allowed(command, func() error { return member.PublishRequest("room.x.say.A", command, []byte("event")) })
	}
	// The answer to a request of its own comes after those of the commands.
	if _, err := member.Request("room.x.say.A", []byte("last"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx)
	if want := uint64(len(commands) + 1); err != nil || info.State.Msgs != want || info.State.FirstSeq != 1 {
		t.Errorf("the stream has %+v, %v, want %d messages from 1", info, err, want)
	}
}

func roomsStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:             "ROOMS",
		Subjects:         []string{"room.*.say.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "room.*.say.*", Destination: "log.{{wildcard(1)}}"},
		RePublish:        &jetstream.RePublish{Source: "log.*", Destination: "feed.{{wildcard(1)}}"},
		AllowDirect:      true,
	}
}

// newMember connects a user who may publish one subject and hear its own inbox.
func newMember(t *testing.T, s *natsd.Server, account string, signer nkeys.KeyPair, publish string) *client {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(public)
	claims.IssuerAccount = account
	claims.Pub.Allow.Add(publish)
	claims.Sub.Allow.Add("_INBOX_" + public + ".>")
	token, err := claims.Encode(signer)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, s, nats.UserJWTAndSeed(token, string(seed)), nats.CustomInboxPrefix("_INBOX_"+public))
}
