package httpd

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"keyhall.dev/keyhall/internal/fault"
)

// MemberOptions say how a member's own program serves the app.
type MemberOptions struct {
	Address string // host:port on loopback
	Hub     string // the hub's origin
	App     fs.FS
	Logger  *slog.Logger
}

// answered are the headers that a hub's answers keep on their way to the app. What else it says stays outside.
var answered = []string{"Content-Length", "Content-Encoding", "Retry-After"}

// answers are the types that they have, each as it is said here: of several types, or of a list of them, a browser takes
// the last, and not the one that was looked at.
var answers = map[string]string{"application/json": "application/json", "text/plain": types[".txt"]}

// sessionCookie is the one cookie that a hub may set: a browser drops others of this machine where there are too many.
const sessionCookie = "keyhall_session"

// member serves the app from a member's own program, and hands on to the hub what the app asks it. The hub can so give
// answers and no programs: what it sends is data here, whatever it calls it.
type member struct {
	hub *url.URL
	log *slog.Logger
}

// StartMember serves the app on loopback until Close.
func StartMember(o MemberOptions) (*Server, error) {
	if err := onLoopback(o.Address); err != nil {
		return nil, err
	}
	hub, err := url.Parse(o.Hub)
	if err != nil || (hub.Scheme != "http" && hub.Scheme != "https") || hub.Host == "" {
		return nil, fault.New(fault.Malformed, "%q is not the address of a hub; it looks like https://hall.example.org", o.Hub)
	}
	app, err := newApp(o.App)
	if err != nil {
		return nil, err
	}
	if app == nil {
		return nil, fault.New(fault.NotFound, "this program was built without the web app; build it again where there is Node (make build)")
	}
	life, cut := context.WithCancel(context.Background())
	s := &Server{cut: cut}
	m := &member{hub: hub, log: o.Logger}
	listening := Options{Logger: o.Logger}
	if err := s.listen(life, listening, o.Address, "--http", nil, listening.secure(m.handler(app))); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (m *member) handler(app http.Handler) http.Handler {
	mux := http.NewServeMux()
	hub := m.proxy()
	for _, path := range []string{"/.well-known/keyhall", "/api/", SocketPath} {
		mux.Handle(path, hub)
	}
	mux.HandleFunc("/api/oidc/start", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the hub's sign-in provider leads back to the hub's own pages; sign in here with your password, a link or your recovery code", http.StatusNotFound)
	})
	mux.Handle("/", app)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHere(r) {
			http.Error(w, "this is reached as localhost, by a page of its own", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isHere refuses names that somebody made lead to this machine, and pages of others.
func isHere(r *http.Request) bool {
	_, port, err := net.SplitHostPort(r.Host)
	return err == nil && port == portOf(r.Context()) && isLoopback(r.Host) && Proxies(nil).SameOrigin(r)
}

// onLoopback refuses an address that others than this machine reach.
func onLoopback(address string) error {
	if !isLoopback(address) {
		return fault.New(fault.Malformed, "%q is not an address of this machine alone; write it like localhost:8421", address)
	}
	return nil
}

// isLoopback reports whether host:port is this machine, to itself.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || (ip != nil && ip.IsLoopback()))
}

// portOf is the port at which a request came in.
func portOf(ctx context.Context) string {
	at, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	_, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return ""
	}
	return port
}

// cookiesOf is how cookies begin in a browser, which gives those of one program on this machine to all: others' do not
// reach the hub, and another hub's are not in the way.
func cookiesOf(ctx context.Context) string { return "web" + portOf(ctx) + "-" }

func (m *member) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Transport: mute{http.DefaultTransport},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(m.hub)
			r.Out.Host = m.hub.Host
			r.Out.Header.Del("Referer")
			if r.In.Header.Get("Origin") != "" {
				r.Out.Header.Set("Origin", m.hub.Scheme+"://"+m.hub.Host)
			}
			r.Out.Header.Del("Cookie")
			for _, cookie := range r.In.Cookies() {
				if name, ours := strings.CutPrefix(cookie.Name, cookiesOf(r.In.Context())); ours {
					r.Out.AddCookie(&http.Cookie{Name: name, Value: cookie.Value})
				}
			}
		},
		ModifyResponse: m.admit,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			m.log.Debug("the hub does not answer", "error", err)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"unavailable","message":"the hub does not answer; is it running?"}`))
		},
	}
}

// admit lets the hub's answers in as data.
func (m *member) admit(r *http.Response) error {
	if r.StatusCode == http.StatusSwitchingProtocols {
		r.Header.Del("Set-Cookie")
		return nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	known := answers[kind]
	if known == "" && (err == nil || r.ContentLength != 0) {
		return fault.New(fault.Refused, "the hub answers with %q", kind)
	}
	if r.StatusCode >= 300 && r.StatusCode < 400 && r.StatusCode != http.StatusNotModified {
		return fault.New(fault.Refused, "the hub leads elsewhere")
	}
	cookies := r.Cookies()
	for name := range r.Header {
		if !slices.Contains(answered, name) {
			r.Header.Del(name)
		}
	}
	if known != "" {
		r.Header.Set("Content-Type", known)
	}
	r.Header.Set("Cache-Control", "no-store") // another hub may be here tomorrow
	for _, cookie := range cookies {
		if cookie.Name == sessionCookie {
			cookie.Name, cookie.Domain, cookie.Secure = cookiesOf(r.Request.Context())+cookie.Name, "", false
			r.Header.Add("Set-Cookie", cookie.String())
		}
	}
	return nil
}

// mute asks a hub and passes nothing on that it says before its answer: the proxy would give that to the browser as it
// comes, and forget the headers of the answer for it.
type mute struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (m mute) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := m.next.RoundTrip(r.WithContext(untold{r.Context()}))
	if response != nil {
		response.Request = r
	}
	return response, err
}

// untold is a context without its values, in which the proxy says that it wants to be told.
type untold struct{ context.Context }

// Value implements context.Context.
func (untold) Value(any) any { return nil }
