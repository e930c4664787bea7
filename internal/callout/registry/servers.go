package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/internal/callout"
)

// Permissions of the system account's user that a registry needs, beside its own inbox.
var (
	SystemPublishes  = []string{"$SYS.REQ.ACCOUNT.*.CONNZ", "$SYS.REQ.SERVER.*.KICK"}
	SystemSubscribes = []string{"$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT"}
)

const (
	firstAnswer = 2 * time.Second        // for the first server to answer
	nextAnswer  = 250 * time.Millisecond // for each further one
	kickTime    = 3 * time.Second
	kicking     = 16  // connections closed at a time
	pageSize    = 512 // connections in one answer
	maxPages    = 2048
)

// Servers asks the NATS servers about connections, as a user of the system account.
type Servers struct{ Conn *nats.Conn }

// serverAnswer is what an answer of a server has beside its data.
type serverAnswer[T any] struct {
	Server struct {
		ID string `json:"id"`
	} `json:"server"`
	Data T `json:"data"`
}

// connz are the connections that one server says it has.
type connz struct {
	Connections []struct {
		ID      uint64    `json:"cid"`
		Kind    string    `json:"kind"`
		Type    string    `json:"type"`
		IP      string    `json:"ip"`
		Start   time.Time `json:"start"`
		Name    string    `json:"name"`
		User    string    `json:"authorized_user"`
		Account string    `json:"account"`
	} `json:"connections"`
}

// Connections are those that the servers have in an account, and the servers that answered.
func (s *Servers) Connections(ctx context.Context, account string) (list []Connection, answered []string, err error) {
	seen := make(map[string]bool)
	for page := range maxPages {
		request := fmt.Sprintf(`{"auth":true,"sort":"cid","limit":%d,"offset":%d}`, pageSize, page*pageSize)
		answers, err := s.gather(ctx, "$SYS.REQ.ACCOUNT."+account+".CONNZ", []byte(request))
		if err != nil {
			return nil, nil, err
		}
		more := false
		for _, data := range answers {
			server, found, err := readConnections(data, account)
			if err != nil {
				return nil, nil, err
			}
			if !seen[server] {
				seen[server] = true
				answered = append(answered, server)
			}
			list = append(list, found.list...)
			more = more || found.full
		}
		if !more {
			break
		}
	}
	return list, answered, nil
}

type foundConnections struct {
	list []Connection
	full bool // there may be more
}

// readConnections reads one server's answer.
func readConnections(data []byte, account string) (server string, found foundConnections, err error) {
	var answer serverAnswer[connz]
	if err := json.Unmarshal(data, &answer); err != nil || callout.CheckToken(answer.Server.ID) != nil {
		return "", found, fmt.Errorf("ask servers for connections: unreadable answer: %w", err)
	}
	found.full = len(answer.Data.Connections) >= pageSize
	for _, c := range answer.Data.Connections {
		if c.ID == 0 || c.Account != account || (c.Kind != "" && c.Kind != "Client") {
			continue
		}
		found.list = append(found.list, Connection{
			Server: answer.Server.ID, Client: c.ID, Account: c.Account, Name: cut(c.User), Host: c.IP,
			Since: c.Start.UTC().Truncate(time.Millisecond), Program: cut(c.Name), Type: c.Type,
		})
	}
	return answer.Server.ID, found, nil
}

// Watch tells of connections to accounts that begin and end, until ctx does. It returns when
// the servers know.
func (s *Servers) Watch(ctx context.Context, accounts []string, began func(Connection), ended func(Connection)) error {
	var subs []*nats.Subscription
	drop := func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // a connection that is gone has none
		}
	}
	for _, account := range accounts {
		for event, tell := range map[string]func(Connection){"CONNECT": began, "DISCONNECT": ended} {
			if tell == nil {
				continue
			}
			sub, err := s.Conn.Subscribe("$SYS.ACCOUNT."+account+"."+event, func(message *nats.Msg) {
				if c, err := readEvent(message.Data, account); err == nil {
					tell(c)
				}
			})
			if err == nil {
				err = sub.SetPendingLimits(-1, -1) // one that is missed stays in the registry for a while
			}
			if err != nil {
				drop()
				return fmt.Errorf("watch connections: %w", err)
			}
			subs = append(subs, sub)
		}
	}
	if err := s.Conn.FlushTimeout(kickTime); err != nil {
		drop()
		return fmt.Errorf("watch connections: %w", err)
	}
	context.AfterFunc(ctx, drop)
	return nil
}

// readEvent reads what a server says of a connection that began or ended.
func readEvent(data []byte, account string) (Connection, error) {
	var event struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
		Client struct {
			Start   time.Time `json:"start"`
			Host    string    `json:"host"`
			ID      uint64    `json:"id"`
			Account string    `json:"acc"`
			User    string    `json:"user"`
			Name    string    `json:"name"`
			Type    string    `json:"client_type"`
		} `json:"client"`
	}
	if err := json.Unmarshal(data, &event); err != nil {
		return Connection{}, err
	}
	c := event.Client
	if callout.CheckToken(event.Server.ID) != nil || c.ID == 0 || c.Account != account {
		return Connection{}, errors.New("no connection of the account")
	}
	return Connection{
		Server: event.Server.ID, Client: c.ID, Account: c.Account, Name: cut(c.User), Host: c.Host,
		Since: c.Start.UTC().Truncate(time.Millisecond), Program: cut(c.Name), Type: c.Type,
	}, nil
}

// Kick closes a connection; one that is gone already is as good.
func (s *Servers) Kick(ctx context.Context, server string, client uint64) error {
	ctx, cancel := context.WithTimeout(ctx, kickTime)
	defer cancel()
	_, err := s.Conn.RequestWithContext(ctx, "$SYS.REQ.SERVER."+server+".KICK", fmt.Appendf(nil, `{"cid":%d}`, client))
	if errors.Is(err, nats.ErrNoResponders) {
		return nil // the server is gone, and with it the connection
	}
	if err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// KickAll closes connections, several at a time. It returns those that could not be closed,
// and why one of them.
func (s *Servers) KickAll(ctx context.Context, list []Connection) (left []Connection, err error) {
	var group errgroup.Group
	var mu sync.Mutex
	group.SetLimit(kicking)
	for _, c := range list {
		group.Go(func() error {
			failed := s.Kick(ctx, c.Server, c.Client)
			if failed != nil {
				mu.Lock()
				defer mu.Unlock()
				left = append(left, c)
			}
			return failed
		})
	}
	return left, group.Wait()
}

// gather collects the answers of all servers to a request: how many there are nobody says.
func (s *Servers) gather(ctx context.Context, subject string, data []byte) (answers [][]byte, err error) {
	inbox := s.Conn.NewRespInbox()
	sub, err := s.Conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask servers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.Conn.PublishRequest(subject, inbox, data); err != nil {
		return nil, fmt.Errorf("ask servers: %w", err)
	}
	patience := firstAnswer
	for {
		waiting, cancel := context.WithTimeout(ctx, patience)
		message, err := sub.NextMsgWithContext(waiting)
		cancel()
		switch {
		case err == nil:
			answers, patience = append(answers, message.Data), nextAnswer
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded) && len(answers) == 0:
			return nil, errors.New("ask servers: none answers; may the user of the system account ask them?")
		case errors.Is(err, context.DeadlineExceeded):
			return answers, nil
		default:
			return nil, fmt.Errorf("ask servers: %w", err)
		}
	}
}
