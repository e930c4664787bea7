package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	censusTime  = 300 * time.Millisecond // how long servers have to answer a ping
	censusEvery = 15 * time.Second
	pushTime    = 3 * time.Second
)

// servers speaks to every NATS server over a SYS connection.
type servers struct {
	sys *nats.Conn

	mu    sync.Mutex
	count int
}

// census counts the servers by asking all of them.
func (s *servers) census(ctx context.Context) error {
	answers, err := s.gather(ctx, "$SYS.REQ.SERVER.PING", nil, censusTime, 0)
	if err != nil {
		return err
	}
	if len(answers) == 0 {
		return fault.New(fault.Unavailable, "no NATS server answers the hub's SYS credentials")
	}
	s.mu.Lock()
	s.count = len(answers)
	s.mu.Unlock()
	return nil
}

// watch repeats the census until ctx ends; a failed one leaves the last count.
func (s *servers) watch(ctx context.Context) {
	ticker := time.NewTicker(censusEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = s.census(ctx)
		}
	}
}

// push hands an account's JWT to every server and waits until each has taken it.
func (s *servers) push(ctx context.Context, token string) error {
	s.mu.Lock()
	count := s.count
	s.mu.Unlock()
	answers, err := s.gather(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(token), pushTime, count)
	if err != nil {
		return err
	}
	if len(answers) < count {
		return fmt.Errorf("push account: %d of %d servers answered", len(answers), count)
	}
	for _, answer := range answers {
		var reply struct {
			Error *struct {
				Description string `json:"description"`
			} `json:"error"`
		}
		if err := json.Unmarshal(answer, &reply); err != nil {
			return fmt.Errorf("push account: unreadable answer: %w", err)
		}
		if reply.Error != nil {
			return fmt.Errorf("push account: %s", reply.Error.Description)
		}
	}
	return nil
}

// lookup is the JWT that the servers have for account, "" for none.
func (s *servers) lookup(ctx context.Context, account string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	msg, err := s.sys.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+account+".CLAIMS.LOOKUP", nil)
	if err != nil {
		return "", fmt.Errorf("look account up: %w", err)
	}
	return string(msg.Data), nil
}

// kick closes a connection; one that is gone already is as good.
func (s *servers) kick(ctx context.Context, server string, client uint64) error {
	request, err := json.Marshal(map[string]uint64{"cid": client})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	_, err = s.sys.RequestWithContext(ctx, "$SYS.REQ.SERVER."+server+".KICK", request)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil // the server is gone, and with it the connection
	}
	if err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// gather collects the answers to a request until there are enough (0: never) or time is up.
func (s *servers) gather(
	ctx context.Context, subject string, data []byte, limit time.Duration, enough int,
) ([][]byte, error) {
	inbox := s.sys.NewRespInbox()
	sub, err := s.sys.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask servers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.sys.PublishRequest(subject, inbox, data); err != nil {
		return nil, fmt.Errorf("ask servers: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var answers [][]byte
	for enough == 0 || len(answers) < enough {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("ask servers: %w", err)
		}
		answers = append(answers, msg.Data)
	}
	return answers, nil
}
