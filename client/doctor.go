package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	checkTime  = 10 * time.Second    // for each check that asks the hub
	clockWorry = 30 * time.Second    // apart from the hub's clock, from which on it is said
	tokenWorry = 14 * 24 * time.Hour // left of a token that this device cannot renew
)

// The states of a finding.
const (
	Fine    = "ok"
	Note    = "note" // worth knowing; everything works
	Problem = "problem"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // what to do about a problem
}

// doctor examines a profile and its hub.
type doctor struct {
	report func(Finding)
	p      *Profile
	at     *discovered
	nats   bool // a NATS port can be reached
	socket bool // so can the WebSocket
}

// Diagnose checks everything that a member's programs need, one after the other, and
// reports each finding as it comes. What cannot be checked because something before it
// failed is left out. Nothing changes but what the profile knows of the own chain.
func Diagnose(ctx context.Context, dir string, report func(Finding)) {
	d := &doctor{report: report}
	if !d.profile(dir) {
		return
	}
	d.token()
	d.catalogs()
	if !d.hub(ctx) {
		return
	}
	d.clock(ctx)
	d.port(ctx)
	d.webSocket()
	if !d.nats && !d.socket {
		return
	}
	if d.account(ctx) {
		d.roomsLogin(ctx)
	}
}

func (d *doctor) found(check, state, remedy, format string, args ...any) bool {
	d.report(Finding{Check: check, State: state, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
	return state != Problem
}

// failed reports an error; the sentence of a fault says what to do by itself.
func (d *doctor) failed(check string, err error, remedy string) bool {
	var f *fault.Error
	if errors.As(err, &f) {
		return d.found(check, Problem, remedy, "%s", f.Message)
	}
	return d.found(check, Problem, remedy, "%v", err)
}

// profile opens the profile, which checks that it is whole and private, and that its keys
// are those of its token.
func (d *doctor) profile(dir string) bool {
	var err error
	if d.p, err = OpenProfile(dir); err != nil {
		return d.failed("profile", err, "")
	}
	d.found("profile", Fine, "", "%s, private", dir)
	token, err := trust.ParseDeviceToken(d.p.Settings.Token)
	if err != nil {
		return d.failed("keys", d.p.damaged(profileFile, err), "")
	}
	account := token.Account.Text(trust.Account)
	whole := account == d.p.Settings.Account && token.Device == d.p.device.Public() &&
		(d.p.identity == nil || d.p.identity.String() == account)
	if !whole {
		return d.found("keys", Problem, "restore the whole folder from one backup", "the keys in %s do not belong together", dir)
	}
	holds := "identity, device and person key"
	if d.p.identity == nil {
		holds = "device and person key; the identity is on another device"
	}
	return d.found("keys", Fine, "", "%s", holds)
}

func (d *doctor) token() {
	token, err := trust.ParseDeviceToken(d.p.Settings.Token)
	if err != nil {
		return // keys has said so
	}
	left := time.Until(token.Expires)
	date := token.Expires.Local().Format("2006-01-02")
	switch {
	case left <= 0:
		d.found("token", Problem, "run any command on the device that holds your identity and link this one anew",
			"the token of this device ended on %s", date)
	case left < tokenWorry && d.p.identity == nil:
		d.found("token", Note, "", "good until %s; link this device anew before that", date)
	default:
		d.found("token", Fine, "", "good until %s", date)
	}
}

func (d *doctor) catalogs() {
	files, err := d.p.catalogFiles()
	if err != nil {
		d.failed("catalogs", err, "")
		return
	}
	if len(files) == 0 {
		d.found("catalogs", Fine, "", "none")
		return
	}
	for _, file := range files {
		if _, err := os.ReadDir(file.Dir); err != nil {
			d.found("catalog "+file.Name, Problem,
				"bring the folder back, or run keyhall catalog remove "+file.Name, "%s", scanError(file, err))
			continue
		}
		d.found("catalog "+file.Name, Fine, "", "%s", file.Dir)
	}
}

// hub makes the hub prove that it is the one that was joined. Unlike a Client it does not
// go on with what the profile remembers: that the hub's origin is away is what to find.
func (d *doctor) hub(ctx context.Context) bool {
	known, err := trust.ParseHub(d.p.Settings.Hub)
	if err != nil {
		return d.failed("hub", d.p.damaged(profileFile, err), "")
	}
	at, err := discover(ctx, d.p.Settings.URL)
	if err == nil && at.hub.ID != known.ID {
		return d.found("hub", Problem, "do not join it anew before its host has told you why",
			"what answers at %s is another hub than the one you joined", d.p.Settings.URL)
	}
	if err != nil {
		return d.failed("hub", err, "ask its host; on its machine: keyhall up")
	}
	d.at = at
	return d.found("hub", Fine, "", "%s has proved that it is yours", d.p.Settings.URL)
}

// clock compares the two clocks; signatures from a clock that is far off are refused.
func (d *doctor) clock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, d.p.Settings.URL, nil)
	if err != nil {
		d.failed("clock", err, "")
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.found("clock", Note, "", "the hub's could not be read")
		return
	}
	_ = response.Body.Close()
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		d.found("clock", Note, "", "the hub does not tell its time")
		return
	}
	apart := time.Since(theirs).Round(time.Second)
	way := "ahead of"
	if apart < 0 {
		way = "behind"
	}
	switch apart.Abs() {
	case 0, time.Second, 2 * time.Second:
		d.found("clock", Fine, "", "as the hub's")
		return
	}
	state, remedy := Fine, ""
	if apart.Abs() > clockWorry {
		state = Note
	}
	if apart.Abs() > trust.ClockSkew {
		state, remedy = Problem, "set the clock of this machine, or ask the host to set the hub's"
	}
	d.found("clock", state, remedy, "%s %s the hub's", apart.Abs(), way)
}

// port looks whether a NATS port can be reached. Behind a firewall it cannot, and the
// WebSocket does the work.
func (d *doctor) port(ctx context.Context) {
	for _, address := range d.at.document.NATS {
		if reachable(ctx, address) {
			d.nats = true
			d.found("NATS port", Fine, "", "%s", address)
			return
		}
	}
	d.found("NATS port", Note, "", "%s cannot be reached from here; the WebSocket does the work",
		strings.Join(d.at.document.NATS, ", "))
}

// webSocket logs in through the hub's origin alone.
func (d *doctor) webSocket() {
	_, socket, path := d.at.addresses(d.p.Settings.URL)
	if socket == "" {
		d.found("WebSocket", Note, "", "this hub has none")
		return
	}
	options := append(d.login().connection(), nats.ProxyPath(path))
	nc, err := nats.Connect(socket, options...)
	if err != nil {
		d.failed("WebSocket", loginError(d.p.Settings.URL, err), "a proxy in front of the hub must pass WebSockets on")
		return
	}
	nc.Close()
	d.socket = true
	d.found("WebSocket", Fine, "", "%s%s", socket, path)
}

func (d *doctor) login() login {
	return login{name: "keyhall doctor", jwt: d.p.Settings.Token, key: d.p.device, patience: checkTime}
}

// account logs in and has the hub show the member's own chain.
func (d *doctor) account(ctx context.Context) bool {
	nc, err := dial(ctx, d.at, d.p.Settings.URL, d.login())
	if err != nil {
		return d.failed("login", err, "")
	}
	c := &Client{profile: d.p, at: d.at, nc: nc, outages: newOutages(), standing: newStanding(turnedAway)}
	c.book, c.rooms = newBook(c), newRoomBook(c)
	defer c.Close()
	own, err := c.me(ctx)
	if err != nil {
		return d.failed("login", err, "")
	}
	if fact := own.Person.Devices[d.p.device.String()]; fact == nil || fact.Revoked != 0 {
		return d.found("login", Problem, "use another of your devices", "this device was revoked")
	}
	d.recovery(ctx, c)
	return d.found("login", Fine, "", "as %s, and the hub shows your past as you know it", d.p.Settings.Handle)
}

// roomsLogin logs in to the rooms, which another part of the hub decides about.
func (d *doctor) roomsLogin(ctx context.Context) {
	l := d.login()
	l.user, l.jwt = "rooms "+d.p.device.String()+" ", d.at.document.Sentinel
	nc, err := dial(ctx, d.at, d.p.Settings.URL, l)
	if err != nil {
		d.failed("rooms", err, "ask the hub's host to look at its log")
		return
	}
	nc.Close()
	d.found("rooms", Fine, "", "the hub lets you in")
}

// recovery looks whether the member could come back if this device were lost.
func (d *doctor) recovery(ctx context.Context, c *Client) {
	const again = "run keyhall recovery, and write the code down"
	if _, err := os.Stat(d.p.path(comebackFile)); err == nil {
		d.found("recovery", Problem, "run keyhall join --recover with this folder again", "you are back, but not everything is done")
		return
	}
	if d.p.identity == nil {
		return // the device that holds it answers for that
	}
	made, err := c.backupState(ctx)
	if err != nil {
		d.found("recovery", Note, "", "the hub could not be asked about your backup: %v", err)
		return
	}
	outdated, err := d.p.newCatalogs()
	switch {
	case err != nil:
		d.failed("recovery", err, "")
	case made.IsZero():
		d.found("recovery", Note, again, "there is no backup: if this folder is lost, so are you")
	case outdated:
		d.found("recovery", Note, again, "the backup of %s does not know all your catalogs", made.Local().Format("2006-01-02"))
	default:
		d.found("recovery", Fine, "", "backup of %s", made.Local().Format("2006-01-02"))
	}
}
