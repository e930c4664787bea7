package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
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
	for _, answer := range answers {
		var about struct {
			Server struct {
				Name    string `json:"name"`
				Version string `json:"ver"`
			} `json:"server"`
		}
		if err := json.Unmarshal(answer, &about); err != nil {
			return fmt.Errorf("count servers: unreadable answer: %w", err)
		}
		if err := checkVersion(about.Server.Name, about.Server.Version); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.count = len(answers)
	s.mu.Unlock()
	return nil
}

// oldest are the oldest servers of their lines in which a client of the sentinel cannot
// name the callout's user and skip the callout.
var oldest = map[string]int{"2.14": 8, "2.15": 1}

// versionText is how a version begins; the reader of numbers also takes signs and spaces.
var versionText = regexp.MustCompile(`^\d{1,9}\.\d{1,9}\.\d{1,9}`)

// checkVersion refuses a server with the callout hole.
func checkVersion(name, version string) error {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil || !versionText.MatchString(version) {
		return fault.New(fault.Unavailable, "the NATS server %s has a version that cannot be judged (%s)", name, version)
	}
	minimum, known := oldest[fmt.Sprintf("%d.%d", major, minor)]
	if major > 2 || (major == 2 && minor > 15) || (known && patch >= minimum) {
		return nil
	}
	return fault.New(fault.Refused, "the NATS server %s is of version %s, in which logins can skip the callout; "+
		"update it to 2.15.1 (or 2.14.8) or later", name, version)
}

// Install puts accounts of the hub's own on a NATS system outside, over a connection in
// its system account, and refuses servers by which the hub would not be safe.
func Install(ctx context.Context, sys *nats.Conn, accounts map[string]string) error {
	s := &servers{sys: sys}
	if err := s.census(ctx); err != nil {
		return err
	}
	for account, token := range accounts {
		known, err := s.lookup(ctx, account)
		if err != nil {
			return err
		}
		claims, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			return fmt.Errorf("install account: %w", err)
		}
		if sameAccount(known, claims) {
			continue
		}
		if err := s.push(ctx, token); err != nil {
			return fault.Wrap(fault.Unavailable, err, "the NATS system does not take the hub's accounts: %v", err)
		}
	}
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
