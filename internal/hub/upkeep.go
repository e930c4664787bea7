package hub

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/trust"
)

const rebuildTime = 10 * time.Minute

// serveUpkeep answers what the host asks of a running hub, from its own machine and with
// its own login: nobody else reaches services.>.
func serveUpkeep(
	running context.Context, nc *nats.Conn, projections *ledger.Projections, log *slog.Logger,
) (wait func(), err error) {
	rebuild := func(ctx context.Context, _ string, data []byte) (any, error) {
		request, err := api.Decode[api.RebuildRequest](data)
		if err != nil {
			return nil, err
		}
		return api.Done{}, projections.Rebuild(ctx, running, request.Projection)
	}
	list := func(context.Context, string, []byte) (any, error) {
		return api.Projections{Names: projections.Names()}, nil
	}
	return api.Serve(running, nc, api.Service{
		Name: "upkeep", Description: "what the host asks of the hub", Prefix: "services",
		Reply: api.AnyInbox, Time: rebuildTime,
		Verbs: map[string]api.Handler{"rebuild": rebuild, "projections": list},
	}, log)
}

// OnMachine is a hub that runs on this machine, as its host reaches it from another
// process: by the keys in its data folder.
type OnMachine struct {
	Identity *trust.Hub
	Ledger   *ledger.Ledger
	Run      natsd.Run

	keys *natsd.Keys
	nc   *nats.Conn
}

// OpenOnMachine connects to the hub that runs on dataDir.
func OpenOnMachine(ctx context.Context, dataDir string) (*OnMachine, error) {
	keys, err := natsd.LoadKeys(dataDir)
	if err != nil {
		return nil, err
	}
	run, err := natsd.ReadRun(dataDir)
	if err != nil {
		return nil, err
	}
	identity, err := trust.ParseHub(keys.OperatorJWT)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(run.NATS, keys.HubUser.Options()...)
	if err != nil {
		return nil, notRunning(dataDir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l, err := ledger.Attach(ctx, nc)
	if err != nil {
		nc.Close()
		return nil, notRunning(dataDir, err)
	}
	return &OnMachine{Identity: identity, Ledger: l, Run: run, keys: keys, nc: nc}, nil
}

// Close ends the connection.
func (m *OnMachine) Close() { m.nc.Close() }

// Projections lists the projections that keep a view.
func (m *OnMachine) Projections(ctx context.Context) ([]string, error) {
	var answer api.Projections
	err := api.Call(ctx, m.nc, "services.projections", struct{}{}, &answer)
	return answer.Names, err
}

// Rebuild drops the view of a projection and folds the ledger into it anew.
func (m *OnMachine) Rebuild(ctx context.Context, projection string) error {
	request := api.RebuildRequest{Projection: projection}
	return api.CallWithin(ctx, rebuildTime, m.nc, "services.rebuild", request, &api.Done{})
}

// Invite makes a host's invite. It returns the code.
func (m *OnMachine) Invite(ctx context.Context, uses int, life time.Duration) (code string, expires time.Time, err error) {
	invite, expires, err := HostInvite(ctx, m.keys, m.Ledger, uses, life)
	if err != nil {
		return "", time.Time{}, err
	}
	return invite.Code(), expires, nil
}
