//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout/registry"
)

const (
	revokeLimit   = 50 // ms, p99
	revokeCount   = 40 // revocations of a run
	revokeEvery   = 100 * time.Microsecond
	revokeSubject = "app.orders.news"
	revokePatient = 10 * time.Second
)

// calloutRevoke is the time from asking for a revocation to the last message that one of the
// revoked connections heard, while messages come all the time: with one connection on one
// server, and with one on each server of a cluster of three. The callout is keyhall's own
// program.
func calloutRevoke(ctx context.Context, s *stage) (results []Result, err error) {
	for _, row := range []struct {
		name    string
		servers int
	}{{"callout-revoke", 1}, {"callout-revoke-cluster", 3}} {
		note(s.log, "%s: %d × %d revocations", row.name, s.runs, revokeCount)
		result, err := revocations(ctx, s, row.name, row.servers)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func revocations(ctx context.Context, s *stage, name string, servers int) (result Result, err error) {
	dir := s.path(name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return result, err
	}
	c, err := newCompany(filepath.Join(dir, "company.json"))
	if err != nil {
		return result, err
	}
	cluster, err := start(ctx, nil, s.self, clusterCommand, strconv.Itoa(servers), c.file)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	line, err := cluster.firstLine(ctx)
	if err != nil {
		return result, err
	}
	urls := strings.Fields(line)
	args, err := c.calloutArgs(dir, urls)
	if err != nil {
		return result, err
	}
	service, err := start(ctx, nil, s.binary, args...)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, service.stop()) }()
	if _, err := service.firstLine(ctx); err != nil {
		return result, err
	}
	var all, slow []float64
	for range s.runs {
		took, err := c.revokeAll(ctx, urls)
		if err != nil {
			return result, err
		}
		all, slow = append(all, took...), append(slow, quantile(took, 0.99))
	}
	return bounded(name, "ms", slow, quantile(all, 0.99), revokeLimit), nil
}

// makeCloser makes the user of the system account that a registry needs.
func (c *company) makeCloser(system identity) error {
	user, err := newIdentity(nkeys.CreateUser)
	if err != nil {
		return err
	}
	c.Closer, err = creds(system, user, func(claims *jwt.UserClaims) {
		claims.Pub.Allow.Add(registry.SystemPublishes...)
		claims.Sub.Allow.Add(registry.SystemSubscribes...)
		claims.Sub.Allow.Add("_INBOX_closer.>")
	})
	return err
}

// calloutArgs writes the files of keyhall callout and returns its arguments.
func (c *company) calloutArgs(dir string, urls []string) ([]string, error) {
	users := map[string]any{}
	for _, name := range []string{"alice", "bob"} {
		users[name] = map[string]any{"pass": calloutPassword, "account": "APP", "permissions": map[string]any{
			"pub": map[string]any{"allow": []string{"app.own.>"}}, "sub": map[string]any{"allow": []string{revokeSubject}},
		}}
	}
	usersText, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"auth.creds": c.AuthUser, "AUTH.nk": c.Issuer, "auth.xk": c.XKey, "APP.nk": c.Signer, "closer.creds": c.Closer,
		"AUTH.jwt": c.Accounts[c.Auth], "sentinel.creds": c.Sentinel, "users.json": string(usersText),
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range files {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{
		"callout", "--json", "--nats", strings.Join(urls, ","), "--creds", path("auth.creds"), "--issuer", path("AUTH.nk"),
		"--xkey", path("auth.xk"), "--account", "APP=" + c.App + ":" + path("APP.nk"), "--users", path("users.json"),
		"--auth-jwt", path("AUTH.jwt"), "--system-creds", path("closer.creds"), "--sentinel", path("sentinel.creds"), "--log-level", "error",
	}, nil
}

// revokeListener is a connection that notes when it last heard something.
type revokeListener struct {
	nc    *nats.Conn
	last  atomic.Int64 // nanoseconds since 1970
	heard chan struct{}
}

func (c *company) listen(ctx context.Context, url, name string) (*revokeListener, error) {
	nc, err := nats.Connect(url, append(c.login(name), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		return nil, fmt.Errorf("%s logs in: %w", name, err)
	}
	l := &revokeListener{nc: nc, heard: make(chan struct{}, 1)}
	_, err = nc.Subscribe(revokeSubject, func(*nats.Msg) {
		l.last.Store(time.Now().UnixNano())
		select {
		case l.heard <- struct{}{}:
		default:
		}
	})
	if err == nil {
		err = l.hears(ctx)
	}
	if err != nil {
		nc.Close()
	}
	return l, err
}

// hears waits until the listener hears something from now on.
func (l *revokeListener) hears(ctx context.Context) error {
	select {
	case <-l.heard:
	default:
	}
	select {
	case <-l.heard:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(revokePatient):
		return errors.New("a connection that nobody revoked hears nothing")
	}
}

// revokeAll revokes again and again, and gives the times in milliseconds.
func (c *company) revokeAll(ctx context.Context, urls []string) ([]float64, error) {
	speaker, err := nats.Connect(urls[0], c.login("")...)
	if err != nil {
		return nil, err
	}
	defer speaker.Close()
	host, err := nats.Connect(urls[0], nats.UserCredentialBytes([]byte(c.AuthUser)), nats.CustomInboxPrefix("_INBOX_bench"))
	if err != nil {
		return nil, err
	}
	defer host.Close()
	speaking, silence := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for speaking.Err() == nil {
			_ = speaker.Publish(revokeSubject, []byte("news")) // who hears none says so
			time.Sleep(revokeEvery)
		}
	}()
	defer func() { silence(); <-ended }()
	var others []*revokeListener
	for _, url := range urls {
		bob, err := c.listen(ctx, url, "bob")
		if err != nil {
			return nil, err
		}
		defer bob.nc.Close()
		others = append(others, bob)
	}
	took := make([]float64, 0, revokeCount)
	for range revokeCount {
		one, err := c.revokeOnce(ctx, host, urls)
		if err != nil {
			return nil, err
		}
		took = append(took, one)
		for _, bob := range others {
			if err := bob.hears(ctx); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

// revokeOnce has alice listen on every server, and revokes her.
func (c *company) revokeOnce(ctx context.Context, host *nats.Conn, urls []string) (float64, error) {
	var hers []*revokeListener
	for _, url := range urls {
		alice, err := c.listen(ctx, url, "alice")
		if err != nil {
			return 0, err
		}
		defer alice.nc.Close()
		hers = append(hers, alice)
	}
	ctx, cancel := context.WithTimeout(ctx, revokePatient)
	defer cancel()
	began := time.Now()
	answer, err := host.RequestWithContext(ctx, registry.RevokeSubject, []byte(`{"name":"alice"}`))
	if err != nil {
		return 0, err
	}
	var done registry.RevokeAnswer
	if err := json.Unmarshal(answer.Data, &done); err != nil || done.Error != nil || len(done.Closed) != len(hers) {
		return 0, fmt.Errorf("the revocation did this: %s", answer.Data)
	}
	latest := 0.0
	for _, alice := range hers {
		for !alice.nc.IsClosed() {
			if ctx.Err() != nil {
				return 0, errors.New("a revoked connection stays")
			}
			time.Sleep(time.Millisecond)
		}
		latest = max(latest, time.Unix(0, alice.last.Load()).Sub(began).Seconds()*1000)
	}
	return latest, nil
}

// clusterCommand makes this program the servers of a company and nothing else.
const clusterCommand = "callout-cluster"

func clusterMain(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench callout-cluster SERVERS FILE")
	}
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	c, err := readCompany(args[1])
	if err != nil {
		return err
	}
	var urls []string
	var routes []*url.URL
	for i := range number {
		server, err := c.clusterServer(i, routes)
		if err != nil {
			return err
		}
		defer server.WaitForShutdown()
		defer server.Shutdown()
		urls = append(urls, server.ClientURL())
		if i == 0 {
			routes = []*url.URL{{Scheme: "nats", Host: server.ClusterAddr().String()}}
		}
		for end := time.Now().Add(e2eStart); server.NumRoutes() == 0 && i > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("the servers do not become a cluster")
			}
		}
	}
	fmt.Println(strings.Join(urls, " "))
	<-ctx.Done()
	return nil
}

// clusterServer starts one server of a cluster.
func (c *company) clusterServer(i int, routes []*url.URL) (*natsserver.Server, error) {
	operator, err := jwt.DecodeOperatorClaims(c.Operator)
	if err != nil {
		return nil, err
	}
	resolver := &natsserver.MemAccResolver{}
	for id, token := range c.Accounts {
		if err := resolver.Store(id, token); err != nil {
			return nil, err
		}
	}
	server, err := natsserver.NewServer(&natsserver.Options{
		ServerName: fmt.Sprint("company-", i), Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true,
		TrustedOperators: []*jwt.OperatorClaims{operator}, SystemAccount: c.System, AccountResolver: resolver, Routes: routes,
		Cluster: natsserver.ClusterOpts{Name: "company", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT},
	})
	if err != nil {
		return nil, err
	}
	server.Start()
	if !server.ReadyForConnections(e2eStart) {
		return nil, errors.New("a NATS server does not come up")
	}
	return server, nil
}
