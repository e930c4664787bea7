package callout

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const (
	requestSubject  = "$SYS.REQ.USER.AUTH"
	requestAudience = "nats-authorization-request"
	xkeyHeader      = "Nats-Server-Xkey"

	// maxRequest bounds what is decrypted, in bytes. A CONNECT has 4 KiB unless a server is
	// told otherwise, and certificates come to it: the jwt library reads no more.
	maxRequest = jwt.MaxTokenSize

	// clientKind is a login of a client, as against one of a leaf node.
	clientKind = "Client"
)

// Request is one login that a server asks about. Server and Client.Host are the
// server's word; everything else is the client's own and verified by nobody yet.
type Request struct {
	Server  Server
	Client  Client
	UserKey string    // U…, made by the server for this connection alone
	Expires time.Time // when the server gives up waiting

	User      string // the user field of CONNECT
	Password  Secret
	Token     Secret // the token field, or the cookie of a browser
	Bearer    string // the JWT that the client sent, or the sentinel's; of AUTH, not of the client
	TLS       TLS
	Signature string // over the nonce, as VerifyNonce takes it
	Nonce     string // what the server sent; empty where the client signed nothing
}

// Server is the server that asks.
type Server struct {
	ID      string // N…
	Name    string
	Version string // of nats-server: 2.15.2

	xkey string // X…, to which the answer is sealed
}

// Client is the connection that wants in.
type Client struct {
	ID   uint64 // of the connection, unique on its server
	Host string // address; empty for a connection inside the process
	Name string // what the program calls itself
	Type string // nats, websocket or mqtt
}

// TLS is what the server says of the client's connection. Without TLS it is empty.
type TLS struct {
	Version string
	// Chains are the certificates that the server verified, the client's own first, in PEM.
	// Those that it did not verify are not here.
	Chains [][]string
}

// VerifySignature checks that this client holds the user key: see VerifyNonce.
func (r *Request) VerifySignature(publicKey string) error {
	return VerifyNonce(publicKey, r.Nonce, r.Signature)
}

// The ways in which a request can be none.
var (
	errNotSealed  = errors.New("the request is not encrypted to this callout")
	errNotSigned  = errors.New("the request is not signed by a server")
	errNotOurs    = errors.New("the request is for another account")
	errIncomplete = errors.New("the request lacks what an answer needs")
	errTooLarge   = errors.New("the request is larger than any server's")
	errKind       = errors.New("only clients may log in, not leaf nodes")
)

// openRequest decrypts and checks a request to the callout of an account.
func openRequest(boxes *boxes, account string, header nats.Header, data []byte) (*Request, error) {
	if len(data) > maxRequest {
		return nil, errTooLarge
	}
	senders := header[xkeyHeader]
	if len(senders) != 1 || !isKey(nkeys.PrefixByteCurve, senders[0]) {
		return nil, errNotSealed
	}
	token, err := boxes.open(data, senders[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSealed, err)
	}
	claims, err := readToken(string(token))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSigned, err)
	}
	if err := checkRequest(claims, account, senders[0]); err != nil {
		return nil, err
	}
	return newRequest(claims), nil
}

// checkRequest ties the claims together: the server that signed is the one that asks
// and that will read the answer.
func checkRequest(claims *jwt.AuthorizationRequestClaims, account, sender string) error {
	switch {
	case claims.Issuer != claims.Server.ID || !isKey(nkeys.PrefixByteServer, claims.Issuer):
		return errNotSigned
	case claims.Server.XKey != sender:
		return errNotSealed
	case claims.Audience != requestAudience || claims.Subject != account:
		return errNotOurs
	case !isKey(nkeys.PrefixByteUser, claims.UserNkey) || claims.Expires <= 0:
		return errIncomplete
	case claims.ClientInformation.Kind != clientKind:
		return errKind
	default:
		return nil
	}
}

func newRequest(claims *jwt.AuthorizationRequestClaims) *Request {
	client, connect := claims.ClientInformation, claims.ConnectOptions
	r := &Request{
		Server: Server{
			ID: claims.Server.ID, Name: claims.Server.Name, Version: claims.Server.Version, xkey: claims.Server.XKey,
		},
		Client:    Client{ID: client.ID, Host: client.Host, Name: client.Name, Type: client.Type},
		UserKey:   claims.UserNkey,
		Expires:   time.Unix(claims.Expires, 0),
		User:      connect.Username,
		Password:  Secret(connect.Password),
		Token:     Secret(connect.Token),
		Signature: connect.SignedNonce,
		Nonce:     client.Nonce,
		Bearer:    connect.JWT,
	}
	if claims.TLS != nil {
		r.TLS.Version = claims.TLS.Version
		for _, chain := range claims.TLS.VerifiedChains {
			r.TLS.Chains = append(r.TLS.Chains, chain)
		}
	}
	return r
}
