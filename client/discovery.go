package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const maxDocument = 64 << 10

// discovered is a hub that has proved who it is, and its addresses.
type discovered struct {
	hub      *trust.Hub
	operator string // operator JWT
	text     string // the document as it was signed
	document api.Document
}

// discover asks the hub at origin for its document and makes it prove that it holds the
// signing key of its operator. Which operator it should be, the caller knows.
func discover(ctx context.Context, origin string) (*discovered, error) {
	base, err := url.Parse(origin)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fault.New(fault.Malformed, "%q is not the address of a hub; it looks like http://localhost:8420", origin)
	}
	var challenge [32]byte
	rand.Read(challenge[:])
	endpoint := base.JoinPath("/.well-known/keyhall")
	endpoint.RawQuery = "challenge=" + hex.EncodeToString(challenge[:])

	answer, err := fetchProof(ctx, endpoint.String(), origin)
	if err != nil {
		return nil, err
	}
	hub, err := trust.ParseHub(answer.Hub)
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "the hub at %s does not prove who it is", origin)
	}
	if err := hub.CheckProof(challenge, []byte(answer.Document), answer.Proof); err != nil {
		return nil, fault.Wrap(fault.Refused, err, "the hub at %s does not prove who it is", origin)
	}
	found := &discovered{hub: hub, operator: answer.Hub, text: answer.Document}
	if err := json.Unmarshal([]byte(answer.Document), &found.document); err != nil || found.document.Version != 1 {
		return nil, fault.New(fault.Refused, "the hub at %s is of another version of Keyhall", origin)
	}
	return found, nil
}

func fetchProof(ctx context.Context, endpoint, origin string) (*api.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("ask hub: %w", err)
	}
	asker := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := asker.Do(request)
	var unproved *tls.CertificateVerificationError
	if errors.As(err, &unproved) {
		return nil, fault.Wrap(fault.Refused, err, "the certificate of the hub at %s is not trusted (%v); nothing was sent to it", origin, unproved.Err)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "no hub answers at %s; is it running, and is the address right?", origin)
	}
	defer response.Body.Close()
	if at, err := response.Location(); err == nil { // what is signed, and what invites carry, is one address
		return nil, fault.New(fault.Refused, "the hub at %s is reached at %s://%s; use that address", origin, at.Scheme, at.Host)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument))
	answer := new(api.Proof)
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(body, answer) != nil {
		return nil, fault.New(fault.Unavailable, "what answers at %s is not a Keyhall hub (status %d)", origin, response.StatusCode)
	}
	return answer, nil
}

// addresses are the NATS addresses to try, in order: the NATS ports, then the WebSocket of
// the hub's HTTP origin, with its path. A port without a host is at the origin's; one at
// loopback is of use only on the hub's own machine.
func (d *discovered) addresses(origin string) (natsURLs []string, websocket, path string) {
	base, err := url.Parse(origin)
	if err != nil {
		return nil, "", ""
	}
	for _, text := range d.document.NATS {
		address, err := url.Parse(text)
		if err != nil || address.Port() == "" {
			continue
		}
		switch {
		case address.Hostname() == "":
			address.Host = net.JoinHostPort(base.Hostname(), address.Port())
		case isLoopback(address.Hostname()) && !isLoopback(base.Hostname()):
			continue
		}
		natsURLs = append(natsURLs, address.String())
	}
	if strings.HasPrefix(d.document.WebSocket, "/") {
		websocket, path = "ws://"+base.Host, d.document.WebSocket
		if base.Scheme == "https" {
			websocket = "wss://" + base.Host
		}
	}
	return natsURLs, websocket, path
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
