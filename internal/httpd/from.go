package httpd

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"keyhall.dev/keyhall/internal/fault"
)

// Proxies are the web servers in front of this one whose word on where a request comes
// from is taken. Anybody else's X-Forwarded-For is their own invention.
type Proxies []netip.Prefix

// ParseProxies reads networks: 10.0.0.0/8, or single addresses.
func ParseProxies(texts []string) (Proxies, error) {
	var proxies Proxies
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil && address.Zone() == "" {
				prefix = netip.PrefixFrom(address, address.BitLen())
			}
		}
		switch {
		case !prefix.IsValid():
			return nil, fault.New(fault.Malformed, "%q is no network of a proxy; write it like 10.1.0.0/16 or 10.1.2.3", text)
		case prefix.Bits() == 0:
			return nil, fault.New(fault.Malformed, "%s would believe everybody; name the proxy's own network", prefix)
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p Proxies) contain(address netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// From is the address that a request comes from: the peer's, or behind trusted proxies the
// nearest that is not one of them. Proxies add to the right of what a client may have sent,
// so it is read from there.
func (p Proxies) From(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.contain(at); i-- {
		hop, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			return at // whoever wrote this is as far as can be seen
		}
		at = hop
	}
	return at
}

// parseHop reads an address as proxies write it, some with a port.
func parseHop(text string) (netip.Addr, error) {
	if pair, err := netip.ParseAddrPort(text); err == nil {
		return pair.Addr().Unmap().WithZone(""), nil
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return address.Unmap().WithZone(""), err
}

// IsSecure reports whether a browser reached this origin by https: here, or at a trusted
// proxy in front, which says so.
func (p Proxies) IsSecure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.contain(peer.Addr().Unmap().WithZone("")) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// SameOrigin reports whether a request comes from a page of this origin, or from no page. Where
// it is not known whether a browser came by https, both are this origin: then a proxy that nobody
// trusts stands in front, or nobody could have made the page but the network.
func (p Proxies) SameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	from, err := url.Parse(origins[0])
	if err != nil || len(origins) > 1 || from.Host == "" || !strings.EqualFold(from.Host, r.Host) {
		return false
	}
	return from.Scheme == "https" || (from.Scheme == "http" && !p.IsSecure(r))
}
