package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natstest"
)

// startCluster starts three servers that keep three copies of a stream.
func startCluster(t *testing.T) []*natsserver.Server {
	t.Helper()
	routes := make([]*url.URL, 0, 3)
	var ports []int
	for range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var servers []*natsserver.Server
	for i, port := range ports {
		s, err := natsserver.NewServer(&natsserver.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(t.TempDir(), "js"), Routes: routes,
			Cluster: natsserver.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(natstest.Patience) {
			t.Fatal("a server does not come up")
		}
	}
	natstest.Eventually(t, "the cluster has a leader", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 {
				return true
			}
		}
		return false
	})
	return servers
}

func TestALoserOnAReplicatedLedgerLooksAgain(t *testing.T) {
	servers := startCluster(t)
	var ledgers []*ledger.Ledger
	for _, s := range servers {
		nc, err := nats.Connect(s.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		var l *ledger.Ledger
		natstest.Eventually(t, "the ledger opens", func() bool {
			ctx, cancel := context.WithTimeout(natstest.Within(t), 5*time.Second)
			defer cancel()
			l, err = ledger.Open(ctx, nc, 3)
			return err == nil
		})
		ledgers = append(ledgers, l)
	}
	for round := range 8 { // a race that is lost early enough has the one code, later the other
		race(t, ledgers, fmt.Sprintf("ledger.person.A%d", round))
	}
}

// race has twelve writers append for one place of a chain.
func race(t *testing.T, ledgers []*ledger.Ledger, subject string) {
	t.Helper()
	const writers = 12
	results := make(chan error, writers)
	for i := range writers {
		ev := statement(t, subject, "mine")
		go func() {
			_, err := ledgers[i%len(ledgers)].Append(natstest.Within(t), ev, 0)
			results <- err
		}()
	}
	won := 0
	for range writers {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, ledger.ErrMoved):
			t.Errorf("a loser: %v (%v)", err, errors.Unwrap(err))
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}
