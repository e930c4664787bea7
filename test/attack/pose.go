package attack

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/api"
)

// pose listens as if it were the hub at HUB_URL and shows everything that anybody sends to
// it. How it proves to be that hub, -proof says:
//
//	relayed    by having the real one answer the joiner's challenge
//	stale      by an answer of the real one to another challenge
//	rewritten  by the real one's answer, with its own address in the document
//	nonsense   by words
func pose(c *call) error {
	how := c.flags.String("proof", "relayed", "relayed, stale, rewritten or nonsense")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer trap.Close()
	go catch(trap)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/keyhall", func(w http.ResponseWriter, r *http.Request) {
		proof, err := forge(r, c.arg(0), *how, trap.Addr().String())
		if err != nil {
			report("no proof: %v", err)
			return
		}
		report("was asked for a proof")
		_ = json.NewEncoder(w).Encode(proof)
	})
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { report("was sent %s %s", r.Method, r.URL.Path) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	report("http://%s", listener.Addr())
	<-c.ctx.Done()
	return server.Close()
}

// catch shows that somebody connected, and what they sent.
func catch(trap net.Listener) {
	for {
		conn, err := trap.Accept()
		if err != nil {
			return
		}
		report("was reached as a NATS server")
		_ = conn.Close()
	}
}

func forge(r *http.Request, real, how, trap string) (*api.Proof, error) {
	challenge := r.URL.Query().Get("challenge")
	if how == "nonsense" {
		return &api.Proof{Hub: "trust me", Document: "{}", Proof: []byte("please")}, nil
	}
	if how == "stale" {
		challenge = strings.Repeat("0", 64)
	}
	proof, err := askProof(r.Context(), real, challenge)
	if err != nil || how != "rewritten" {
		return proof, err
	}
	var document api.Document
	if err := json.Unmarshal([]byte(proof.Document), &document); err != nil {
		return nil, err
	}
	document.NATS = []string{"nats://" + trap}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("rewrite document: %w", err)
	}
	proof.Document = string(text)
	return proof, nil
}
