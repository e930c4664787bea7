package httpd_test

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/natstest"
)

// freePort is a port of this machine that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().(*net.TCPAddr).Port
}

// names is a name server to which every name is this machine. It is asked by TCP, as the authority does.
func names(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answerNames(conn)
		}
	})
	return listener.Addr().String()
}

// answerNames answers one question, which comes after its length.
func answerNames(conn net.Conn) {
	defer conn.Close()
	var size uint16
	if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
		return
	}
	query := make([]byte, size)
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	answer := answerName(query)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}

func answerName(query []byte) []byte {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil || len(message.Questions) == 0 {
		return nil
	}
	message.Response, message.RecursionAvailable, message.Additionals = true, true, nil
	if asked := message.Questions[0]; asked.Type == dnsmessage.TypeA {
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, err := message.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// pebble is an ACME authority, which asks origins at two ports of this machine whether they are who they say.
type pebble struct {
	directory, ca string // URL, and the file that vouches for it
	management    string
	client        *http.Client
}

// startPebble runs Let's Encrypt's own authority for tests.
func startPebble(t *testing.T, tlsPort, plainPort int) *pebble {
	t.Helper()
	dir, a := t.TempDir(), newAuthority(t)
	cert, key := a.issue("localhost", false)
	own, management := freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", own), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", management),
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"tlsPort": tlsPort, "httpPort": plainPort, "keyAlgorithm": "ecdsa",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key, "ca.pem": a.pem(), "config.json": config} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := exec.Command(tool(t, "pebble"), "-config", filepath.Join(dir, "config.json"), "-dnsserver", names(t))
	program.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
	})
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	transport := transportTo("", pool)
	transport.DialContext = nil
	p := &pebble{
		directory: fmt.Sprintf("https://localhost:%d/dir", own), ca: filepath.Join(dir, "ca.pem"),
		management: fmt.Sprintf("https://localhost:%d", management), client: &http.Client{Transport: transport},
	}
	natstest.Eventually(t, "the authority answers", func() bool {
		_, err := p.get(p.directory)
		return err == nil
	})
	return p
}

// tool is the program of a tool of this repository, which is no part of what Keyhall is built of.
func tool(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command("go", "tool", "-modfile=tools/go.mod", "-n", name)
	cmd.Dir = filepath.Join("..", "..")
	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			output = exit.Stderr
		}
		t.Fatalf("%s cannot be built: %v\n%s", name, err, output)
	}
	return strings.TrimSpace(string(output))
}

func (p *pebble) get(url string) ([]byte, error) {
	response, err := p.client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// root is what who trusts the authority trusts.
func (p *pebble) root(t *testing.T) *x509.CertPool {
	t.Helper()
	text, err := p.get(p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("no root: %s", text)
	}
	return pool
}

func TestACertificateIsGotFromAnACMEAuthority(t *testing.T) {
	const domain = "hall.example.org"
	for name, plain := range map[string]bool{"by TLS": false, "by plain HTTP": true} {
		t.Run(name, func(t *testing.T) {
			tlsPort, plainPort := freePort(t), freePort(t)
			asksTLS := tlsPort
			if plain {
				asksTLS = freePort(t) // nobody answers there
			}
			p := startPebble(t, asksTLS, plainPort)
			cache := filepath.Join(t.TempDir(), "acme")
			o, logged := options(), new(log)
			o.Address, o.App, o.Logger = fmt.Sprintf("127.0.0.1:%d", tlsPort), built, slog.New(slog.NewTextHandler(logged, nil))
			o.TLS = &httpd.TLS{ACME: &httpd.ACME{
				Domains: []string{domain}, Email: "host@example.org", Directory: p.directory, CA: p.ca, Cache: cache,
			}}
			if plain {
				o.TLS.Plain = fmt.Sprintf("127.0.0.1:%d", plainPort)
			}
			s := start(t, o)
			if want := fmt.Sprintf("https://%s:%d", domain, tlsPort); s.URL() != want {
				t.Errorf("it is %s, want %s", s.URL(), want)
			}
			browser := transportTo(o.Address, p.root(t))
			response := roundTrip(t, browser, s.URL()+"/rooms")
			if response.StatusCode != http.StatusOK || response.TLS.PeerCertificates[0].DNSNames[0] != domain {
				t.Errorf("%s; %s", response.Status, logged)
			}
			if response.Header.Get("Strict-Transport-Security") == "" {
				t.Error("browsers are not told to stay")
			}
			private(t, cache)
			refused(t, o.Address, p, logged)
		})
	}
}

// private fails the test if anybody but its owner can read what a folder holds.
func private(t *testing.T, dir string) {
	t.Helper()
	var entries []os.DirEntry
	natstest.Eventually(t, "certificate and account are kept", func() (kept bool) {
		entries, _ = os.ReadDir(dir)
		return len(entries) == 2
	})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v: %v", info.Mode(), err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v: %v", entry.Name(), info.Mode(), err)
		}
	}
}

// refused asks for a name that is none of the origin's: no certificate is got for it.
func refused(t *testing.T, at string, p *pebble, logged *log) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://evil.example.org/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transportTo(at, p.root(t)).RoundTrip(request); err == nil {
		t.Error("it has a certificate for another name")
	}
	if strings.Contains(logged.String(), "evil") {
		t.Errorf("it troubles its host with what a stranger asked: %s", logged)
	}
}
