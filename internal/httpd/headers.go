package httpd

import (
	"net/http"
	"strings"
)

// closed is what no answer lets a browser do.
const closed = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// appPolicy lets the app load what its own origin has, and nothing else from anywhere; the
// only script texts that become scripts go through its own policy, keyhall. 'self' holds for
// the WebSocket too. Pictures come from the worker, and as blobs that the app made.
var appPolicy = strings.Join([]string{
	closed, "script-src 'self'", "style-src 'self'", "img-src 'self' blob:", "media-src 'self'", "connect-src 'self'",
	"worker-src 'self'", "frame-src 'self'", "manifest-src 'self'", "require-trusted-types-for 'script'", "trusted-types keyhall",
}, "; ")

// pagePolicy is that of everything else: pages without a script.
const pagePolicy = closed + "; style-src 'self'"

// permissions takes away what browsers would let a page ask for and this one never needs.
var permissions = strings.Join([]string{
	"accelerometer=()", "browsing-topics=()", "camera=()", "display-capture=()", "geolocation=()", "gyroscope=()",
	"hid=()", "idle-detection=()", "local-fonts=()", "magnetometer=()", "microphone=()", "midi=()", "payment=()", "serial=()",
	"usb=()", "xr-spatial-tracking=()",
}, ", ")

// secure sets the headers that every answer carries. Pages that need more than the rest
// replace the policy.
func (o Options) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", permissions)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if o.Proxies.IsSecure(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}
