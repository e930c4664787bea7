package service_test

import (
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/internal/natstest"
)

// An operator may give the callout's user the one right that it cannot do without.
func TestAnAuthUserWhoMayOnlyHearRequestsIsEnough(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{User: func(_ string, c *jwt.UserClaims) {
		if c.Name == "auth" {
			c.Sub.Allow.Add("$SYS.REQ.USER.AUTH")
			c.Pub.Deny.Add(">")
			c.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: 10 * time.Second}
		}
	}})
	p.start()
	p.mustEnter("alice", "alice")
	p.said.Accounts[0].Key = p.Path("APP2.nk")
	mustSay(t, p.refused(), "place no login in account APP1", "may not say why", "$SYS.ACCOUNT.CLIENT.AUTH.ERR")
}
