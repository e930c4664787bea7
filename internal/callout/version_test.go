package callout_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"keyhall.dev/keyhall/internal/callout"
)

func TestServersWithKnownHolesAreToldByTheirVersion(t *testing.T) {
	for version, safe := range map[string]bool{
		"2.15.1": true, "2.15.10": true, "2.16.0": true, "2.16.0-RC.1": true, "3.0.0": true, "2.14.8": true, "2.14.12": true,
		"2.15.2-binary": true, server.VERSION: true,
		"2.15.0": false, "2.15.1-RC.1": false, "2.14.7": false, "2.14.8-RC.2": false, "2.13.99": false, "2.9.0": false, "1.15.9": false,
		"": false, "2": false, "2.15": false, "2.15.1.1": false, "v2.15.2": false, "2.15.x": false, "2.15.-1": false, "2.15.+1": false,
		"2.15.99999999999": false, " 2.15.2": false, "2.15.2\n": false, "-": false, strings.Repeat("9", 4000): false,
	} {
		err := callout.CheckServerVersion(version)
		if (err == nil) != safe {
			t.Errorf("%.40q: %v, want safe %t", version, err, safe)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%.40q: its error has %d bytes", version, len(err.Error()))
		}
	}
}
