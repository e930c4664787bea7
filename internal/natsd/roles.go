package natsd

import (
	"time"

	"github.com/nats-io/jwt/v2"
)

const (
	everything    = ">"
	foreignInbox  = "_INBOX.>" // the inboxes of clients that did not choose their own
	serviceReply  = "_R_.>"    // reply subjects of service imports
	calloutHears  = "$SYS.REQ.USER.AUTH"
	ledgerStream  = "LEDGER"
	roomsStream   = "ROOMS"
	microServices = "$SRV.>" // where the micro framework answers PING, INFO and STATS
)

// role is what one of the hub's services may do: the allow lists of its login, to
// which its own inbox is added. What a list does not name is denied.
type role struct {
	name      string
	account   string // key of the account in the keyring
	publish   []string
	subscribe []string
	responses *jwt.ResponsePermission
}

// systemRole is the account signer's, at the server: push account JWTs, learn which
// servers there are and have them, find and close connections. It cannot delete a JWT,
// reload or stop a server.
var systemRole = role{
	name:    "keyhall-sys",
	account: keySystem,
	publish: []string{
		"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.*", "$SYS.REQ.ACCOUNT.*.CONNZ",
		"$SYS.REQ.SERVER.*.KICK",
	},
	subscribe: []string{
		"$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT",
		"$SYS.SERVER.*.STATSZ", "$SYS.SERVER.*.SHUTDOWN",
	},
}

// hubRole is the hub services': answer the hub API and admissions, append to the
// ledger, keep projections, ask the signer.
var hubRole = role{
	name:    "keyhall-hub",
	account: keyHub,
	publish: []string{
		"ledger.>", "signer.>", "services.>", "audit.>", "$KV.>", "$JS.API.>", "$JS.ACK.>",
		"$JS.FC.>", // flow control: without its answers a KV watch stalls
	},
	subscribe: []string{"hub.>", "admission.>", "recovery.>", "services.>", "connections.>", microServices},
	responses: manyResponses,
}

// signerRole is the account signer's, in HUB: answer signer.>, follow the ledger,
// read KV entries, say which connections have ended. It writes nothing there.
var signerRole = role{
	name:      "keyhall-signer",
	account:   keyHub,
	publish:   append(readStream(ledgerStream), "$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.>", "connections.gone"),
	subscribe: []string{"signer.>", microServices},
	responses: manyResponses,
}

// roomsRole is the rooms service's: all of the stream ROOMS but to delete it whole.
var roomsRole = role{
	name:    "keyhall-rooms",
	account: keyRooms,
	publish: append(readStream(roomsStream),
		"$JS.API.STREAM.CREATE."+roomsStream, "$JS.API.STREAM.UPDATE."+roomsStream,
		"$JS.API.STREAM.MSG.DELETE."+roomsStream, "$JS.API.STREAM.PURGE."+roomsStream),
}

// calloutRole hears login requests and answers each once. It makes no requests and so
// has no use for an inbox, but has one like everybody.
var calloutRole = role{
	name:      "keyhall-callout",
	account:   keyAuth,
	subscribe: []string{calloutHears},
	responses: &jwt.ResponsePermission{MaxMsgs: 1, Expires: calloutAnswer},
}

// calloutAnswer is how long a login request can be answered: a little more than the
// server waits for it.
const calloutAnswer = defaultAuthTimeout + 5*time.Second

// manyResponses bounds answers like the tokens of members do (subjects.md).
var manyResponses = &jwt.ResponsePermission{MaxMsgs: 64, Expires: 2 * time.Minute}

// permissions spells the role out for one user. An empty allow list means everything
// is allowed, so a role that publishes nothing is denied all; answers to requests pass
// a deny, for the server looks at them last.
func (r role) permissions(user string) jwt.Permissions {
	p := jwt.Permissions{
		Pub: jwt.Permission{Allow: r.publish, Deny: jwt.StringList{foreignInbox, serviceReply}},
		Sub: jwt.Permission{
			Allow: append(jwt.StringList{inboxPrefix(user) + ".>"}, r.subscribe...),
			Deny:  jwt.StringList{foreignInbox, serviceReply},
		},
		Resp: r.responses,
	}
	if len(r.publish) == 0 {
		p.Pub = jwt.Permission{Deny: jwt.StringList{everything}}
	}
	return p
}

func inboxPrefix(user string) string { return "_INBOX_" + user }

// readStream lists what a client publishes to consume one stream and to read its
// messages: the API subjects, acknowledgements and flow control, these two in the form
// with a domain and an account hash as well.
func readStream(stream string) []string {
	return []string{
		"$JS.API.INFO",
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.STREAM.MSG.GET." + stream,
		"$JS.API.DIRECT.GET." + stream,
		"$JS.API.DIRECT.GET." + stream + ".>",
		"$JS.API.CONSUMER.CREATE." + stream,
		"$JS.API.CONSUMER.CREATE." + stream + ".>",
		"$JS.API.CONSUMER.DURABLE.CREATE." + stream + ".*",
		"$JS.API.CONSUMER.INFO." + stream + ".*",
		"$JS.API.CONSUMER.NAMES." + stream,
		"$JS.API.CONSUMER.LIST." + stream,
		"$JS.API.CONSUMER.DELETE." + stream + ".*",
		"$JS.API.CONSUMER.MSG.NEXT." + stream + ".*",
		"$JS.ACK." + stream + ".>",
		"$JS.ACK.*.*." + stream + ".>",
		"$JS.FC." + stream + ".>",
		"$JS.FC.*.*." + stream + ".>",
	}
}
