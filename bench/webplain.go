//go:build linux

package main

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // the handshake of a WebSocket asks for it
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"keyhall.dev/keyhall/seal"
)

// rawBytes is how much a download brings, of either side.
const rawBytes = 300_000_000

// plainOrigin is what the web rows are set beside: files by HTTP, and bytes by a WebSocket, from the same kind of server as
// the hub's, and nothing else.
type plainOrigin struct{ server *httptest.Server }

func newPlainOrigin(dir string) *plainOrigin {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("GET /raw", raw)
	return &plainOrigin{httptest.NewServer(mux)}
}

func (p *plainOrigin) address(path string) string { return p.server.URL + path }
func (p *plainOrigin) socket() string {
	return "ws" + strings.TrimPrefix(p.server.URL, "http") + "/raw"
}

// raw answers a WebSocket with messages of a block each, until all has been sent or nobody listens.
func raw(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // whoever listens has all, or has gone
	if err := shakeHands(buffered.Writer, r.Header.Get("Sec-WebSocket-Key")); err != nil {
		return
	}
	header := []byte{0x82, 127, 0, 0, 0, 0, 0, 4, 0, 0} // binary, 262,144 bytes
	block := make([]byte, seal.BlockSize)
	for sent := 0; sent < rawBytes; sent += len(block) {
		message := net.Buffers{header, block}
		if _, err := message.WriteTo(conn); err != nil {
			return
		}
	}
	_, _ = conn.Read(make([]byte, 1)) // until the other side closes
}

func shakeHands(w *bufio.Writer, key string) error {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	for _, line := range []string{
		"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]), "",
	} {
		if _, err := w.WriteString(line + "\r\n"); err != nil {
			return err
		}
	}
	return w.Flush()
}
