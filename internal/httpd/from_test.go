package httpd

import (
	"net/http"
	"testing"

	"pgregory.net/rapid"
)

func TestARequestComesFromTheNearestThatIsNoTrustedProxy(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "fd00::1", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                      {"198.51.100.4:99", nil, "198.51.100.4"},
		"its own invention":             {"198.51.100.4:99", []string{"203.0.113.9"}, "198.51.100.4"},
		"a trusted proxy":               {"10.1.2.3:99", []string{"203.0.113.9"}, "203.0.113.9"},
		"an invention before the proxy": {"10.1.2.3:99", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		"in a header of its own":        {"10.1.2.3:99", []string{"127.0.0.1", "203.0.113.9"}, "203.0.113.9"},
		"two trusted proxies":           {"10.1.2.3:99", []string{"203.0.113.9, 192.0.2.7"}, "203.0.113.9"},
		"trusted all the way":           {"10.1.2.3:99", []string{"10.9.9.9"}, "10.9.9.9"},
		"a trusted proxy that is mute":  {"10.1.2.3:99", nil, "10.1.2.3"},
		"rubbish":                       {"10.1.2.3:99", []string{"203.0.113.9, x"}, "10.1.2.3"},
		"with a port":                   {"10.1.2.3:99", []string{"203.0.113.9:1234"}, "203.0.113.9"},
		"IPv6":                          {"[fd00::1]:99", []string{"2001:db8::5"}, "2001:db8::5"},
		"IPv6 in brackets":              {"[fd00::1]:99", []string{"[2001:db8::5]"}, "2001:db8::5"},
		"IPv4 within IPv6":              {"[::ffff:10.1.2.3]:99", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
	} {
		r := &http.Request{RemoteAddr: row.peer, Header: http.Header{"X-Forwarded-For": row.forwarded}}
		if got := proxies.From(r).String(); got != row.want {
			t.Errorf("%s: from %s, want %s", name, got, row.want)
		}
	}
}

// TestNobodyButAProxyIsBelieved: whatever the header says.
func TestNobodyButAProxyIsBelieved(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.SliceOf(rapid.String()).Draw(t, "header")
		r := &http.Request{RemoteAddr: "198.51.100.4:99", Header: http.Header{"X-Forwarded-For": header}}
		if got := proxies.From(r).String(); got != "198.51.100.4" {
			t.Fatalf("from %s", got)
		}
	})
}

func TestAProxysNetworkIsNamedClearly(t *testing.T) {
	for _, wrong := range []string{"", "x", "10.0.0.0/33", "0.0.0.0/0", "::/0", "fe80::1%eth0", "10.0.0.1:80"} {
		if proxies, err := ParseProxies([]string{wrong}); err == nil {
			t.Errorf("%q: taken as %v", wrong, proxies)
		}
	}
}

func FuzzFrom(f *testing.F) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "203.0.113.9", "203.0.113.9, 10.0.0.1", "[2001:db8::5]:1", ",,,", "fe80::1%eth0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{RemoteAddr: "10.1.2.3:99", Header: http.Header{"X-Forwarded-For": {header}}}
		if at := proxies.From(r); !at.IsValid() || at.Zone() != "" {
			t.Errorf("from %s", at)
		}
	})
}
