package natsd_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/natsd"
)

func TestABackupsLoginTakesSnapshotsAndNothingElse(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	keys := s.Keys()
	read, err := keys.Archivist(keys.Hub, "LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	put, err := keys.Restorer(keys.Hub, "LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]natsd.Login{"backup": read, "restore": put} {
		c := login(t, s, l)
		for _, subject := range []string{
			"ledger.hub", "hub.x.people.list", "$JS.API.INFO", "$JS.API.STREAM.DELETE.LEDGER", "$JS.API.STREAM.MSG.GET.LEDGER",
			"$JS.API.STREAM.SNAPSHOT.KV_PEOPLE", "$JS.API.STREAM.RESTORE.KV_PEOPLE", "$KV.PEOPLE.x", "signer.prove", "services.rebuild",
		} {
			c.publishRefused(subject)
		}
		for _, subject := range []string{">", "ledger.>", "hub.>", "$JS.>", "_INBOX.>"} {
			c.subscribeRefused(subject)
		}
		if name == "backup" {
			c.publishRefused("$JS.API.STREAM.RESTORE.LEDGER")
		} else {
			c.publishRefused("$JS.API.STREAM.SNAPSHOT.LEDGER")
		}
	}
	if _, err := keys.Archivist(keys.System, "LEDGER"); err == nil {
		t.Error("a login of SYS was made")
	}
}

func TestTheServicesOfAHubHandOutNoSnapshots(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s := start(t, quiet(t.TempDir()))
	hub := login(t, s, s.Keys().HubUser)
	js, err := jetstream.New(hub.Conn)
	if err != nil {
		t.Fatal(err)
	}
	makeLedger(t, ctx, js)
	login(t, s, s.Keys().RoomsUser).publishRefused("$JS.API.STREAM.SNAPSHOT.ROOMS")
	login(t, s, s.Keys().SignerUser).publishRefused("$JS.API.STREAM.SNAPSHOT.LEDGER")
	hub.publishRefused("$JS.SNAPSHOT.ACK.LEDGER.x.1.1")
	hub.publishRefused("$JS.SNAPSHOT.RESTORE.LEDGER.x")
}
