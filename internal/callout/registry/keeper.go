package registry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	reconcileEvery = 15 * time.Second
	pruneEvery     = 5 * time.Second
)

// Options say what a Keeper works with. Conn and Accounts are needed.
type Options struct {
	// Conn is a connection of an auth user of the account with external authorization: over it
	// come the commands, and its JetStream, where there is one, keeps who is denied.
	Conn *nats.Conn
	// System is a connection in the system account whose user may at least do what
	// SystemPublishes and SystemSubscribes say. nil: connections of other replicas and of before
	// a restart are not known, and none can be closed.
	System   *nats.Conn
	Accounts []string // A…, in which the callout places connections; see Keeper.PlacedIn
	// Closed is told what was closed, for the audit; it must not wait.
	Closed func(audit.Closed)
	Logger *slog.Logger // slog.Default()
}

// Keeper keeps a Registry up to date and acts on it.
type Keeper struct {
	*Registry
	o       Options
	servers *Servers                // nil: it can close nothing
	denials atomic.Pointer[Denials] // nil: kept in memory alone, so far
	replica string                  // tells this process's answers from others'

	placing  sync.Mutex
	accounts []string // that are watched

	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	serving chan struct{} // one for each command worked on
}

// Start begins to keep a registry. When it returns, commands are heard, and with a system
// user the connections that are there already are known.
func Start(ctx context.Context, o Options) (*Keeper, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Closed == nil {
		o.Closed = func(audit.Closed) {}
	}
	k := &Keeper{Registry: New(o.Logger), o: o, replica: nuid.Next(), serving: make(chan struct{}, maxServing)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	if o.System != nil {
		k.servers = &Servers{Conn: o.System}
	} else {
		o.Logger.Debug("no user of the system account: connections can be listed as far as this process let them in, and none can be closed")
	}
	if err := k.start(ctx); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Keeper) start(ctx context.Context) error {
	if err := k.openDenials(ctx); err != nil {
		return err
	}
	if k.servers != nil {
		if err := k.PlacedIn(ctx, k.o.Accounts); err != nil {
			return err
		}
		k.tasks.Go(func() { k.every(reconcileEvery, k.reconciled) })
	}
	k.tasks.Go(func() { k.every(pruneEvery, func() { k.Prune(time.Now()) }) })
	return k.serve()
}

// PlacedIn has the keeper know of connections in these accounts from now on, and of those that
// are there already; a connection of an account that is not watched would soon be taken for
// gone. What was watched before still is: who is there stays until the end of their rights.
// Call it before anybody is placed there.
func (k *Keeper) PlacedIn(ctx context.Context, accounts []string) error {
	if k.servers == nil {
		return nil
	}
	var fresh []string
	k.placing.Lock()
	for _, account := range accounts {
		if !slices.Contains(k.accounts, account) {
			fresh = append(fresh, account)
		}
	}
	k.placing.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	gone := func(c Connection) { k.Gone(c.Server, c.Client) }
	if err := k.servers.Watch(k.ctx, fresh, k.Connected, gone); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the connections cannot be watched: %v", err)
	}
	k.placing.Lock()
	k.accounts = append(k.accounts, fresh...)
	k.placing.Unlock()
	if err := k.reconcile(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the servers do not say which connections they have: %v", err)
	}
	return nil
}

// Close stops. Its connections stay the caller's.
func (k *Keeper) Close() {
	k.cancel()
	k.tasks.Wait()
}

// Closes reports whether the keeper can close connections.
func (k *Keeper) Closes() bool { return k.servers != nil }

func (k *Keeper) every(period time.Duration, do func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

func (k *Keeper) reconciled() {
	if err := k.reconcile(k.ctx); err != nil && k.ctx.Err() == nil {
		k.o.Logger.Warn("the servers do not say which connections they have", "error", err)
	}
}

// reconcile takes over what the servers have.
func (k *Keeper) reconcile(ctx context.Context) error {
	k.placing.Lock()
	accounts := slices.Clone(k.accounts)
	k.placing.Unlock()
	asked := time.Now()
	var all []Connection
	var answered []string
	for _, account := range accounts {
		list, servers, err := k.servers.Connections(ctx, account)
		if err != nil {
			return err
		}
		all, answered = append(all, list...), servers
	}
	k.Reconcile(all, answered, asked)
	k.closeAgain(ctx, all, asked)
	return nil
}

// closeAgain closes the connections that the servers still have although they were to be closed
// before the servers were asked: they could not be reached then.
func (k *Keeper) closeAgain(ctx context.Context, there []Connection, asked time.Time) {
	still := make(map[string]bool)
	for i := range there {
		still[there[i].ID()] = true
	}
	tried := asked.Add(-kickTime)
	list := k.take(func(n *note) bool { return n.closing && n.marked.Before(tried) && still[n.ID()] })
	if len(list) > 0 {
		ctx, cancel := context.WithTimeout(ctx, serveTime)
		defer cancel()
		_, _ = k.close(ctx, list, audit.Closed{By: audit.ByHost, Why: "they could not be closed before"}) // it is logged
	}
}

// RulesChanged closes the connections that have more than the backends, as they are now, would
// give them, where those of before could say so by name. Call it once logins are judged by the
// new ones.
func (k *Keeper) RulesChanged(ctx context.Context, before, now []callout.Backend) error {
	list := k.narrowed(ctx, before, now)
	if len(list) == 0 {
		return nil
	}
	_, err := k.close(ctx, list, audit.Closed{By: audit.ByRules, Why: "the rules were changed"})
	return err
}

var errBlind = fault.New(fault.Unavailable,
	"this callout has no user of the system account (--system-creds) and can close no connections; they end when they have to log in again")

// close closes connections and has it written down.
func (k *Keeper) close(ctx context.Context, list []Connection, entry audit.Closed) (left []Connection, err error) {
	switch {
	case len(list) == 0: // nothing to close, and nothing that fails
	case k.servers == nil:
		left, err = list, errBlind
	default:
		left, err = k.servers.KickAll(ctx, list)
	}
	failed := make(map[string]bool, len(left))
	for i := range left {
		failed[left[i].ID()] = true
	}
	for i := range list {
		if c := &list[i]; !failed[c.ID()] {
			entry.Closed = append(entry.Closed, audit.Connection{Server: c.Server, CID: c.Client})
		}
	}
	entry.Failed = len(left)
	k.o.Closed(entry)
	if err != nil {
		k.o.Logger.Error("connections could not be closed", "connections", len(left), "error", err)
		err = fault.Wrap(fault.Unavailable, err, "%d connections could not be closed: %v", len(left), err)
	}
	return left, err
}

// revoke does what somebody asks for: it refuses a name's logins from now on, then closes
// what there is. A login in between finds itself denied.
func (k *Keeper) revoke(ctx context.Context, request RevokeRequest) (RevokeAnswer, error) {
	answer := RevokeAnswer{Replica: k.replica, Closes: k.Closes()}
	entry := audit.Closed{By: audit.ByHost, Why: request.Why, Name: request.Name}
	if request.Seconds > 0 {
		until := time.Now().Add(time.Duration(request.Seconds) * time.Second).UTC().Truncate(time.Second)
		k.Deny(request.Name, until)
		answer.DeniedUntil, entry.DeniedUntil = &until, &until
		answer.Kept = k.keepDenial(ctx, request.Name, until)
	}
	list := k.take(func(n *note) bool {
		if request.Session != "" {
			return n.ID() == request.Session
		}
		return n.judged && n.Name == request.Name
	})
	if request.Session != "" && len(list) == 1 {
		entry.Name = list[0].Name
	}
	if len(list) == 0 && answer.DeniedUntil == nil {
		return answer, nil
	}
	left, err := k.close(ctx, list, entry)
	answer.Closed, answer.Failed = idsOf(list, left), len(left)
	if len(list) == 0 || !k.Closes() {
		err = nil // the answer says so
	}
	return answer, err
}

// idsOf are the ids of a list without those that are left.
func idsOf(list, left []Connection) (ids []string) {
	skip := make(map[string]bool)
	for i := range left {
		skip[left[i].ID()] = true
	}
	for i := range list {
		if text := list[i].ID(); !skip[text] {
			ids = append(ids, text)
		}
	}
	return ids
}
