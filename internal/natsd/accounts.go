package natsd

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// minServer is the oldest nats-server that may run under this operator: in older ones
// a client of the sentinel could name the callout's user and skip the callout.
const minServer = "2.15.1"

// How many subscriptions a connection may have. The accounts say so: limits in the JWT that
// a callout issues are not looked at (nats-server 2.15.2).
const (
	roomsSubscriptions = 144  // two for each of a connection's 64 rooms (feed and presence), and a few
	hubSubscriptions   = 8192 // the services need hundreds
)

// hubAPI is the service export of HUB: the account token in position 2 makes the
// server itself refuse an importer that asks as somebody else.
const (
	hubAPI         = "hub.*.>"
	hubAPIPosition = 2
)

// operatorJWT is self-signed. StrictSigningKeyUsage stays off: devices of people hold
// tokens signed by their account's identity, which strict mode would refuse.
func operatorJWT(ring keyring) (string, error) {
	claims := jwt.NewOperatorClaims(ring.public[keyOperator])
	claims.Name = "keyhall"
	claims.SigningKeys.Add(ring.public[keyOperatorSigning])
	claims.SystemAccount = ring.public[keySystem]
	claims.AssertServerVersion = minServer
	if err := validate(claims); err != nil {
		return "", err
	}
	return claims.Encode(ring.pairs[keyOperator])
}

// accountJWTs composes the hub's own four accounts, by public key.
func accountJWTs(ring keyring) (map[string]string, error) {
	jwts := make(map[string]string, 4)
	for _, claims := range []*jwt.AccountClaims{
		systemAccount(ring), authAccount(ring), hubAccount(ring), roomsAccount(ring),
	} {
		if err := validate(claims); err != nil {
			return nil, fmt.Errorf("account %s: %w", claims.Name, err)
		}
		token, err := claims.Encode(ring.pairs[keyOperatorSigning])
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", claims.Name, err)
		}
		jwts[claims.Subject] = token
	}
	return jwts, nil
}

func systemAccount(ring keyring) *jwt.AccountClaims {
	return newAccount("SYS", ring.public[keySystem])
}

// authAccount hands every login but the callout's own to the callout, which may place
// it in HUB or ROOMS alone: a callout that was taken over reaches nobody's account.
func authAccount(ring keyring) *jwt.AccountClaims {
	claims := newAccount("AUTH", ring.public[keyAuth])
	claims.Limits.DisallowBearer = false // the sentinel is one
	claims.SigningKeys.Add(ring.public[keyAuthSigning])
	claims.Authorization = jwt.ExternalAuthorization{
		AuthUsers:       jwt.StringList{ring.public[keyCalloutUser]},
		AllowedAccounts: jwt.StringList{ring.public[keyHub], ring.public[keyRooms]},
		XKey:            ring.public[keyCalloutXKey],
	}
	return claims
}

func hubAccount(ring keyring) *jwt.AccountClaims {
	claims := newAccount("HUB", ring.public[keyHub])
	claims.SigningKeys.Add(ring.public[keyHubSigning])
	claims.SigningKeys.AddScopedSigner(guestScope(ring, keyNewcomers, "newcomer", "admission.{{name()}}.admit"))
	claims.SigningKeys.AddScopedSigner(guestScope(ring, keyReturners, "returner", "recovery.{{name()}}.get"))
	claims.Limits.JetStreamLimits, claims.Limits.Subs = diskLimits(), hubSubscriptions
	claims.Exports.Add(&jwt.Export{
		Name:                 "hub-api",
		Subject:              hubAPI,
		Type:                 jwt.Service,
		ResponseType:         jwt.ResponseTypeSingleton,
		AccountTokenPosition: hubAPIPosition,
	})
	return claims
}

// guestScope is what a signing key of the callout's may give in HUB, where the hub's own
// services are: to ask one thing by the key that is the guest's name, and to hear the answer.
// Whoever has the signing key chooses the name, so a service's is not to be one.
func guestScope(ring keyring, signer, role, asks string) *jwt.UserScope {
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = ring.public[signer], role
	scope.Template.Permissions = jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{asks}, Deny: jwt.StringList{foreignInbox, serviceReply}},
		Sub: jwt.Permission{
			Allow: jwt.StringList{inboxPrefix("{{name()}}") + ".>"},
			Deny:  jwt.StringList{foreignInbox, serviceReply},
		},
	}
	for _, service := range []string{keyHubUser, keySignerUser} {
		scope.Template.Sub.Deny.Add(inboxPrefix(ring.public[service]) + ".>")
	}
	return scope
}

func roomsAccount(ring keyring) *jwt.AccountClaims {
	claims := newAccount("ROOMS", ring.public[keyRooms])
	claims.SigningKeys.Add(ring.public[keyRoomsSigning])
	claims.Limits.JetStreamLimits, claims.Limits.Subs = diskLimits(), roomsSubscriptions
	return claims
}

// newAccount denies by default: a user JWT without permissions would otherwise be
// allowed everything.
func newAccount(name, public string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(public)
	claims.Name = name
	claims.Limits.DisallowBearer = true
	claims.Limits.LeafNodeConn = 0
	claims.DefaultPermissions = jwt.Permissions{
		Pub: jwt.Permission{Deny: jwt.StringList{everything}},
		Sub: jwt.Permission{Deny: jwt.StringList{everything}},
	}
	return claims
}

// diskLimits lets an account use JetStream as far as the disk goes.
func diskLimits() jwt.JetStreamLimits {
	return jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit,
		DiskStorage:   jwt.NoLimit,
		Streams:       jwt.NoLimit,
		Consumer:      jwt.NoLimit,
		MaxAckPending: jwt.NoLimit,
	}
}

// newLogin mints the user JWT of a service, signed by its account's identity.
func newLogin(r role, user, account nkeys.KeyPair) (Login, error) {
	public, err := user.PublicKey()
	if err != nil {
		return Login{}, err
	}
	seed, err := user.Seed()
	if err != nil {
		return Login{}, err
	}
	accountKey, err := account.PublicKey()
	if err != nil {
		return Login{}, err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = r.name
	claims.Permissions = r.permissions(public)
	if err := validate(claims); err != nil {
		return Login{}, err
	}
	token, err := claims.Encode(account)
	if err != nil {
		return Login{}, err
	}
	return Login{Name: r.name, Account: accountKey, PublicKey: public, JWT: token, seed: seed}, nil
}

// sentinelJWT is what a client shows to reach the callout. It is public and denies
// everything itself, so that it is worth nothing even where no callout takes over.
func sentinelJWT(public string, auth nkeys.KeyPair) (string, error) {
	claims := jwt.NewUserClaims(public)
	claims.Name = "sentinel"
	claims.BearerToken = true
	claims.Permissions = jwt.Permissions{
		Pub: jwt.Permission{Deny: jwt.StringList{everything}},
		Sub: jwt.Permission{Deny: jwt.StringList{everything}},
	}
	if err := validate(claims); err != nil {
		return "", err
	}
	return claims.Encode(auth)
}

// validate refuses claims that the server would warn about or refuse.
func validate(claims jwt.Claims) error {
	results := jwt.CreateValidationResults()
	claims.Validate(results)
	if len(results.Issues) > 0 {
		return fmt.Errorf("invalid claims: %s", results.Issues[0].Description)
	}
	return nil
}
