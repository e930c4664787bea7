package inspect

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	pageSize = 256      // connections of one answer, where it is not said
	maxPages = 1 << 12  // of one server
	maxJSON  = 64 << 20 // bytes of an answer
)

// listing is what all servers say of an account's connections.
type listing struct {
	servers     map[string]string // names by id
	connections []connection
	incomplete  []string // names of servers whose list changed or stopped while it was read
}

// connection is one of a listing: what a server says of it, as far as it is used.
type connection struct {
	server, serverName string

	ID      uint64   `json:"cid"`
	Kind    string   `json:"kind"`
	IP      string   `json:"ip"`
	Name    string   `json:"name"`
	User    string   `json:"authorized_user"`
	Account string   `json:"account"`
	JWT     string   `json:"jwt"`
	Issuer  string   `json:"issuer_key"`
	Subs    []string `json:"subscriptions_list"`
}

// answer is a server's answer to a request for connections.
type answer struct {
	Server struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"server"`
	Data *struct {
		Total       int          `json:"total"`
		Offset      int          `json:"offset"`
		Connections []connection `json:"connections"`
	} `json:"data"`
	Error *struct {
		Description string `json:"description"`
	} `json:"error"`
}

// readAnswer reads an answer. What it says is not believed but for being said.
func readAnswer(data []byte) (*answer, error) {
	a := new(answer)
	if len(data) > maxJSON {
		return nil, errors.New("an answer of a server is too long")
	}
	if err := json.Unmarshal(data, a); err != nil || a.Server.ID == "" {
		return nil, errors.New("an answer of a server cannot be read")
	}
	if a.Error != nil {
		return nil, fmt.Errorf("a server refuses to say: %q", a.Error.Description)
	}
	if a.Data == nil || a.Data.Total < 0 || a.Data.Offset < 0 || len(a.Data.Connections) > a.Data.Total {
		return nil, errors.New("an answer of a server makes no sense")
	}
	for i := range a.Data.Connections {
		a.Data.Connections[i].server, a.Data.Connections[i].serverName = a.Server.ID, a.Server.Name
	}
	return a, nil
}

// list asks for the connections of an account, page by page, until every server that answers
// has said all of them.
func (q *query) list(ctx context.Context) (*listing, error) {
	l := &listing{servers: make(map[string]string)}
	read := make(map[string]int) // connections by server
	for page := range maxPages {
		answers, err := q.page(ctx, page*q.Page, len(l.servers))
		if err != nil {
			return nil, err
		}
		more := false
		for _, a := range answers {
			if a.Data.Offset != page*q.Page {
				continue // of the page before, late
			}
			l.servers[a.Server.ID] = a.Server.Name
			l.connections = append(l.connections, a.Data.Connections...)
			read[a.Server.ID] += len(a.Data.Connections)
			more = more || (len(a.Data.Connections) > 0 && a.Data.Total > (page+1)*q.Page)
		}
		if page > 0 && len(answers) < len(l.servers) {
			l.incomplete = append(l.incomplete, fmt.Sprintf("page %d of the connections came from %d of %d servers", page+1, len(answers), len(l.servers)))
		}
		if !more {
			return l, nil
		}
	}
	return nil, fault.New(fault.TooLarge, "the account has more connections than can be inspected")
}

// page is the answers of all servers to one request. It waits until as many answered as are
// known or wanted, or none did for a while: a longer one while some are missing.
func (q *query) page(ctx context.Context, offset, known int) ([]*answer, error) {
	body, err := json.Marshal(map[string]any{"auth": true, "subscriptions": true, "offset": offset, "limit": q.Page})
	if err != nil {
		return nil, err
	}
	reply := q.nc.NewInbox()
	sub, err := q.nc.SubscribeSync(reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := q.nc.PublishRequest(q.subject, reply, body); err != nil {
		return nil, err
	}
	first, cancel := context.WithTimeout(ctx, q.Patience)
	defer cancel()
	err = q.nc.FlushWithContext(first) // behind it is what the server refuses
	if errors.Is(q.nc.LastError(), nats.ErrPermissionViolation) || err != nil {
		return nil, q.silence(ctx, err)
	}
	var answers []*answer
	for wait := first; ; {
		msg, err := sub.NextMsgWithContext(wait)
		switch {
		case err == nil && msg.Header.Get("Status") == "503":
			return nil, fault.New(fault.Refused, "no server answers on %s: they have no system account, or these creds may not ask", q.subject)
		case err == nil:
		case len(answers) > 0 && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return answers, nil
		default:
			return nil, q.silence(ctx, err)
		}
		a, err := readAnswer(msg.Data)
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "%s", err)
		}
		answers = append(answers, a)
		if len(answers) == max(q.Servers, known) && (q.Servers > 0 || offset > 0) {
			return answers, nil
		}
		pause := q.Quiet
		if len(answers) < max(q.Servers, known) {
			pause = max(pause, q.Patience)
		}
		quiet, cancelQuiet := context.WithTimeout(ctx, pause)
		defer cancelQuiet()
		wait = quiet
	}
}

// silence puts into words that no server answered.
func (q *query) silence(ctx context.Context, err error) error {
	if refused := q.nc.LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
		return fault.Wrap(fault.Refused, refused,
			"these creds may not ask servers for connections: they need to publish to %s and to subscribe to an inbox of their own; or use creds of the system account", q.subject)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if q.System {
		return fault.Wrap(fault.Unavailable, err, "no server says which connections there are: are these creds of a user of the system account?")
	}
	return fault.Wrap(fault.Unavailable, err, "no server says which connections there are")
}

// accountClaims asks for the account's JWT, which only the system account may.
func (q *query) accountClaims(ctx context.Context) (*jwt.AccountClaims, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Patience)
	defer cancel()
	msg, err := q.nc.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+q.Account+".CLAIMS.LOOKUP", nil)
	if err == nil && len(msg.Data) > 0 {
		if claims, err := jwt.DecodeAccountClaims(string(msg.Data)); err == nil && claims.Subject == q.Account {
			return claims, nil
		}
	}
	msg, err = q.nc.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+q.Account+".INFO", nil)
	if err != nil {
		return nil, err
	}
	var info struct {
		Data struct {
			JWT string `json:"jwt"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.Data, &info); err != nil {
		return nil, err
	}
	claims, err := jwt.DecodeAccountClaims(info.Data.JWT)
	if err == nil && claims.Subject != q.Account {
		err = errors.New("it is another account's")
	}
	return claims, err
}

// readUser is what a user JWT says. Its signature is not checked: the server did that, and
// it is the server's word in any case.
func readUser(text string) (*jwt.UserClaims, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	claims := new(jwt.UserClaims)
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// Defaults of Options.
const (
	defaultPatience = 5 * time.Second
	defaultQuiet    = 750 * time.Millisecond
)
