package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/throttle"
)

const (
	maxRequest = 128 << 10
	// cookieLife is how long a browser keeps the cookie: the hub decides when the session ends.
	cookieLife = 365 * 24 * time.Hour
	// evenTime is what the answer to a name takes at least, whether there is such a person or not.
	evenTime = 60 * time.Millisecond
)

// route is one request that browsers make.
type route struct {
	pattern string
	signed  bool // with a session alone
	paced   bool // somebody tries something
	handle  func(*visit) (any, error)
}

func (s *Service) routes() []route {
	return []route{
		{pattern: "GET /api/config", handle: s.config},
		{pattern: "POST /api/login/begin", paced: true, handle: s.beginPassword},
		{pattern: "POST /api/login/finish", paced: true, handle: s.finishPassword},
		{pattern: "POST /api/passkey/begin", paced: true, handle: s.beginPasskey},
		{pattern: "POST /api/passkey/finish", paced: true, handle: s.finishPasskey},
		{pattern: "GET /api/oidc/start", paced: true, handle: s.startProvider},
		{pattern: "GET /api/oidc/callback", paced: true, handle: s.endProvider},
		{pattern: "POST /api/oidc/who", paced: true, handle: s.whoAtProvider},
		{pattern: "POST /api/session/challenge", paced: true, handle: s.challenge},
		{pattern: "POST /api/session", paced: true, handle: s.openSession},
		{pattern: "POST /api/session/revoked", paced: true, handle: s.revoked},
		{pattern: "POST /api/link/ask", paced: true, handle: s.askLink},
		{pattern: "POST /api/link/answer", paced: true, handle: s.awaitLink},

		{pattern: "GET /api/session", signed: true, handle: s.session},
		{pattern: "DELETE /api/session", signed: true, handle: s.endOwn},
		{pattern: "GET /api/sessions", signed: true, handle: s.sessions},
		{pattern: "DELETE /api/sessions/{id}", signed: true, handle: s.endSession},
		{pattern: "DELETE /api/sessions", signed: true, handle: s.endSessions},
		{pattern: "POST /api/passkeys/begin", signed: true, handle: s.beginRegistration},
		{pattern: "POST /api/passkeys/finish", signed: true, handle: s.finishRegistration},
		{pattern: "GET /api/passkeys", signed: true, handle: s.passkeys},
		{pattern: "DELETE /api/passkeys/{id}", signed: true, handle: s.removePasskey},
		{pattern: "POST /api/oidc/bind", signed: true, paced: true, handle: s.bindProvider},
		{pattern: "GET /api/oidc/bound", signed: true, handle: s.boundProvider},
		{pattern: "DELETE /api/oidc/bound", signed: true, handle: s.unbindProvider},
	}
}

// Handler answers everything below /api/.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, route) })
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, fault.NotFound, "there is nothing here")
	})
	return mux
}

// visit is one request on its way.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	from    netip.Addr
	secure  bool
	body    []byte
	session *browsers.Session // of signed routes
}

// goTo is the answer that sends a browser elsewhere.
type goTo string

func (s *Service) serve(w http.ResponseWriter, r *http.Request, route route) {
	w.Header().Set("Cache-Control", "no-store")
	v := &visit{Request: r, w: w, from: s.Front.From(r), secure: s.Front.IsSecure(r)}
	answer, err := s.answer(v, route)
	if err != nil {
		s.fail(v, err)
		return
	}
	if to, is := answer.(goTo); is {
		http.Redirect(w, r, string(to), http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.Logger.Debug("browser went away", "error", err)
	}
}

func (s *Service) answer(v *visit, route route) (any, error) {
	if err := s.admit(v); err != nil {
		return nil, err
	}
	if route.paced {
		if wait := s.paces.take(v.from); wait > 0 {
			return nil, &throttle.TooSoon{Wait: wait}
		}
	}
	if v.Method != http.MethodGet {
		var err error
		if v.body, err = io.ReadAll(http.MaxBytesReader(v.w, v.Body, maxRequest)); err != nil {
			return nil, fault.Wrap(fault.TooLarge, err, "a request has %d KiB at most", maxRequest>>10)
		}
	}
	if err := s.recognize(v, route); err != nil {
		return nil, err
	}
	return route.handle(v)
}

// errForeign refuses what another site's page may send as well.
var errForeign = errors.New("not from a page of this hub")

// admit refuses requests that change something, but for those of pages of this origin and of
// programs, which have no cookies of somebody else. A form of another site can send neither
// JSON nor the header.
func (s *Service) admit(v *visit) error {
	if v.Method == http.MethodGet {
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(v.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || len(v.Header.Values("Content-Type")) != 1 ||
		len(parameters) > 0 && (len(parameters) > 1 || parameters["charset"] != "utf-8") {
		return errForeign
	}
	site := v.Header.Values("Sec-Fetch-Site")
	if len(site) > 1 || len(site) == 1 && site[0] != "same-origin" || !s.Front.SameOrigin(v.Request) {
		return errForeign
	}
	return nil
}

// recognize finds the session of a request's cookie. Where none is wanted, a dead cookie is
// taken away and harms nothing.
func (s *Service) recognize(v *visit, route route) error {
	cookie, err := s.Browsers.Bearer(v.Request)
	if !route.signed {
		return nil
	}
	if err == nil {
		v.session, err = s.Browsers.Live(v.Context(), cookie)
	}
	if errors.Is(err, browsers.ErrNone) {
		s.forget(v)
	}
	if err != nil {
		return err
	}
	return s.Browsers.Note(v.Context(), v.session, v.from.String(), v.UserAgent())
}

// remember gives a browser the cookie of its session, and forget takes it away.
func (s *Service) remember(v *visit, cookie string) {
	http.SetCookie(v.w, &http.Cookie{
		Name: s.Browsers.Cookie, Value: cookie, Path: "/", MaxAge: int(cookieLife / time.Second),
		HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteStrictMode,
	})
}

func (s *Service) forget(v *visit) {
	http.SetCookie(v.w, &http.Cookie{
		Name: s.Browsers.Cookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteStrictMode,
	})
}

// read reads the JSON of a request, which says nothing that is not known.
func read[T any](v *visit) (*T, error) {
	request := new(T)
	if !bytes.HasPrefix(bytes.TrimSpace(v.body), []byte("{")) {
		return nil, fault.New(fault.Malformed, "the request is not the JSON it should be")
	}
	decoder := json.NewDecoder(bytes.NewReader(v.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(request); err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the request is not the JSON it should be")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Malformed, "the request is not the JSON it should be")
	}
	return request, nil
}

// none is a request or an answer that says nothing.
type none struct{}

// guess does something by which somebody may try a secret: too many wrong tries for a name,
// or from an address, have to wait. wrong is what try says of a wrong one.
func (s *Service) guess(v *visit, kind, name string, try func() error) error {
	guess := throttle.NewGuess(kind, name, v.from.String())
	if err := s.throttle.Begin(guess); err != nil {
		return err
	}
	err := try()
	s.throttle.End(guess, err)
	return err
}

// wrong is the refusal of a wrong secret.
func wrong(sentence string) error {
	return fault.Wrap(fault.Refused, throttle.ErrWrong, "%s", sentence)
}

// evenly waits until an answer that began at start may go out.
func evenly(ctx context.Context, start time.Time) {
	timer := time.NewTimer(time.Until(start.Add(evenTime)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// refusal is what a browser is told.
type refusal struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
}

// throttled is the code of a request that came too soon.
const throttled fault.Code = "throttled"

func (s *Service) fail(v *visit, err error) {
	var soon *throttle.TooSoon
	switch {
	case errors.Is(err, errForeign):
		refuse(v.w, http.StatusForbidden, fault.Refused, "this is for pages of this hub alone")
		return
	case errors.As(err, &soon):
		seconds := int(math.Ceil(soon.Wait.Seconds()))
		v.w.Header().Set("Retry-After", strconv.Itoa(max(seconds, 1)))
		refuse(v.w, http.StatusTooManyRequests, throttled, "there were too many tries; wait a moment and try again")
		return
	}
	code, sentence := publicError(err)
	if code == fault.Internal || code == fault.Unavailable {
		s.Logger.Error("request of a browser failed", "route", v.Pattern, "error", err, "cause", errors.Unwrap(err))
	}
	refuse(v.w, statusOf(code), code, sentence)
}

// publicError is what a browser may know of an error.
func publicError(err error) (fault.Code, string) {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f.Code, f.Message
	case errors.Is(err, event.ErrMalformed):
		return fault.Malformed, err.Error()
	}
	return fault.Internal, "the hub failed at this; its log says more"
}

func statusOf(code fault.Code) int {
	switch code {
	case fault.Malformed, fault.TooLarge:
		return http.StatusBadRequest
	case fault.Refused:
		return http.StatusUnauthorized
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Taken, fault.Conflict:
		return http.StatusConflict
	case fault.Expired:
		return http.StatusGone
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func refuse(w http.ResponseWriter, status int, code fault.Code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal{code, message}) // a browser that went away needs none
}
