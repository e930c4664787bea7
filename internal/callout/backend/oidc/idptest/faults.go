package idptest

import (
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Text answers with a body and a media type.
func Text(contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, body) //nolint:errcheck // the client may have gone
		return true
	}
}

// Status answers with a status alone.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

// Redirect leads elsewhere.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to, http.StatusFound)
		return true
	}
}

// Hang answers nothing until the channel is closed or the client goes.
func Hang(until <-chan struct{}) Fault {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-until:
			return false
		case <-r.Context().Done():
			return true
		}
	}
}

// HangInside begins an answer and does not end it until the client goes.
func HangInside() Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprint(w, `{"issuer":`)           //nolint:errcheck // the client may have gone
		http.NewResponseController(w).Flush() //nolint:errcheck // the client may have gone
		<-r.Context().Done()
		return true
	}
}

// Endless answers with JSON that does not end before the client goes.
func Endless() Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		for r.Context().Err() == nil {
			if _, err := fmt.Fprintf(w, "%65536s", " "); err != nil {
				break
			}
		}
		return true
	}
}

// Headers answers with more headers than anybody wants.
func Headers() Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := range 2000 {
			w.Header().Set(fmt.Sprintf("X-Filler-%d", i), strings.Repeat("x", 1000))
		}
		return false
	}
}

// Bomb answers with little that unpacks to a lot.
func Bomb() Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Encoding", "gzip")
		packer := gzip.NewWriter(w)
		defer packer.Close() //nolint:errcheck // the client may have gone
		for range 64 {
			if _, err := packer.Write(make([]byte, 1<<16)); err != nil {
				break
			}
		}
		return true
	}
}

// Flapping fails every other time, the first time too.
func Flapping() Fault {
	var times atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if times.Add(1)%2 == 0 {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
}
