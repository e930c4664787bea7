package accounts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"sort"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/internal/chain"
)

// The bounds of a person's account.
const (
	connections       = 64
	subscriptions     = 4096            // of one connection: two for each catalog that is served
	responseThreshold = 2 * time.Minute // an answer that stops coming is forgotten after this
)

// compose is the JWT of a person's account, unsigned: the same world gives the same claims.
func compose(world *chain.World, hubAccount, account string) *jwt.AccountClaims {
	person := world.People[account]
	claims := jwt.NewAccountClaims(account)
	claims.Name = person.Handle
	claims.Limits.Conn, claims.Limits.Subs = connections, subscriptions
	claims.Limits.LeafNodeConn = 0
	claims.Limits.Imports = 2*chain.MaxShares + 1
	claims.Limits.Exports = 2
	claims.Limits.DisallowBearer = true
	claims.Exports = jwt.Exports{
		{
			Name: "catalogs", Subject: "catalog.*.>", Type: jwt.Service, AccountTokenPosition: 2,
			ResponseType: jwt.ResponseTypeStream, ResponseThreshold: responseThreshold,
		},
		{Name: "live", Subject: "live.*.*", Type: jwt.Stream, AccountTokenPosition: 2},
	}
	claims.Imports = append(jwt.Imports{{
		Name: "hub", Account: hubAccount, Type: jwt.Service,
		Subject: jwt.Subject("hub." + account + ".>"), LocalSubject: "hub.>",
	}}, shareImports(world, account)...)
	for device, fact := range person.Devices {
		switch {
		case fact.Revoked != 0:
			claims.RevokeAt(device, fact.Expires)
		case !fact.Narrowed.IsZero():
			claims.RevokeAt(device, fact.Narrowed.Add(-time.Second)) // up to the second before
		}
	}
	sort.Sort(claims.Exports) // as encoding will: claims are compared with decoded ones
	sort.Sort(claims.Imports)
	return claims
}

// shareImports are two imports for each catalog that the account has accepted and its
// owner still shares; however often it was granted.
func shareImports(world *chain.World, account string) jwt.Imports {
	accepted := world.Imports(account)
	slices.SortFunc(accepted, func(a, b *chain.AcceptBody) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Catalog, b.Catalog))
	})
	accepted = slices.CompactFunc(accepted, func(a, b *chain.AcceptBody) bool {
		return a.Owner == b.Owner && a.Catalog == b.Catalog
	})
	var imports jwt.Imports
	for _, share := range accepted {
		far := share.Owner + "." + share.Catalog
		imports = append(imports,
			&jwt.Import{
				Name: share.Catalog, Account: share.Owner, Type: jwt.Service,
				Subject:      jwt.Subject("catalog." + account + "." + share.Catalog + ".>"),
				LocalSubject: jwt.RenamingSubject("from." + far + ".>"),
			},
			&jwt.Import{
				Name: share.Catalog, Account: share.Owner, Type: jwt.Stream,
				Subject:      jwt.Subject("live." + account + "." + share.Catalog),
				LocalSubject: jwt.RenamingSubject("news." + far),
			})
	}
	return imports
}

// equalJSON compares two values by what they say.
func equalJSON(a, b any) bool {
	left, errA := json.Marshal(a)
	right, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(left, right)
}
