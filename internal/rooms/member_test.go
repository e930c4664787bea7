package rooms_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/natsd"
)

// asMember connects to ROOMS with the right to publish to every room.
func asMember(t *testing.T, server *natsd.Server) *nats.Conn {
	t.Helper()
	user, err := nkeys.CreateUser()
	must(t, err)
	public, err := user.PublicKey()
	must(t, err)
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount = "member", server.Keys().Rooms
	claims.Pub.Allow.Add("room.>")
	claims.Sub.Allow.Add("_INBOX_" + public + ".>")
	token, err := claims.Encode(server.Keys().RoomsSigner)
	must(t, err)
	member, err := nats.Connect(server.ClientURL(), nats.CustomInboxPrefix("_INBOX_"+public),
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign), nats.SetCustomDialer(&keeper{}))
	must(t, err)
	t.Cleanup(member.Close)
	return member
}

// keeper dials and keeps the socket, over which a test can send what no client would.
type keeper struct{ net.Conn }

// Dial implements nats.CustomDialer.
func (k *keeper) Dial(network, address string) (net.Conn, error) {
	var err error
	k.Conn, err = net.Dial(network, address)
	return k.Conn, err
}

// publishRaw publishes an empty message with these bytes as header, and waits until the
// server has it.
func publishRaw(t *testing.T, nc *nats.Conn, subject, header string) {
	t.Helper()
	must(t, nc.Flush())
	socket := nc.Opts.CustomDialer.(*keeper) //nolint:forcetypeassert // asMember sets it
	out := bufio.NewWriter(socket)
	fmt.Fprintf(out, "HPUB %s %d %d\r\n%s\r\n", subject, len(header), len(header), header)
	must(t, out.Flush())
	must(t, nc.FlushTimeout(10*time.Second))
	if err := nc.LastError(); err != nil && !strings.Contains(err.Error(), "header") {
		t.Fatal(err)
	}
}
