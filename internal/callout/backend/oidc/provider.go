package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	wellKnown    = "/.well-known/openid-configuration"
	maxDocument  = 1 << 20  // bytes of an answer
	maxHeaders   = 64 << 10 // bytes of an answer's headers
	maxCAFile    = 1 << 20  // bytes
	maxDocuments = time.Hour
)

// provider fetches an identity provider's keys. It is used by one fetch at a time.
type provider struct {
	issuer string
	client *http.Client

	keysURL    string    // as discovered; empty: to be discovered
	discovered time.Time // when
}

func newProvider(config Config) (*provider, error) {
	trusted := &tls.Config{MinVersion: tls.VersionTLS12}
	if config.CAFile != "" {
		pool, err := readCAs(config.CAFile)
		if err != nil {
			return nil, err
		}
		trusted.RootCAs = pool
	}
	return &provider{issuer: config.Issuer, client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        trusted,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a small answer stays small
			MaxResponseHeaderBytes: maxHeaders,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        10 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// readCAs reads the certificates that vouch for the provider.
func readCAs(path string) (*x509.CertPool, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the certificates of ca_file cannot be read: %s", err)
	}
	defer file.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(file, maxCAFile+1))
	if err != nil || len(data) > maxCAFile {
		return nil, fault.Wrap(fault.Malformed, err, "ca_file %s cannot be read, or has more than %d bytes", path, maxCAFile)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fault.New(fault.Malformed, "ca_file %s has no certificate in PEM", path)
	}
	return pool, nil
}

// fetch asks for the keys, and how long the provider says they are fresh; 0 where it does
// not say. After a failure the next fetch begins at discovery again.
func (p *provider) fetch(ctx context.Context) (set keySet, fresh time.Duration, err error) {
	if p.keysURL == "" || time.Since(p.discovered) > maxDocuments {
		if p.keysURL, err = p.discover(ctx); err != nil {
			return keySet{}, 0, fmt.Errorf("its discovery document: %w", err)
		}
		p.discovered = time.Now()
	}
	data, header, err := p.get(ctx, p.keysURL)
	if err == nil {
		set, err = readKeys(data)
	}
	if err != nil {
		p.keysURL = ""
		return keySet{}, 0, fmt.Errorf("its keys: %w", err)
	}
	return set, freshness(header), nil
}

// discover asks where the keys are. The document has to be the issuer's own: another's would
// vouch for tokens with other keys.
func (p *provider) discover(ctx context.Context) (keysURL string, err error) {
	data, _, err := p.get(ctx, strings.TrimSuffix(p.issuer, "/")+wellKnown)
	if err != nil {
		return "", err
	}
	document, err := readObject(data)
	if err != nil {
		return "", err
	}
	if document["issuer"] != p.issuer {
		return "", fmt.Errorf("it is of issuer %s, not %q", shown(document["issuer"]), p.issuer)
	}
	address, is := document["jwks_uri"].(string)
	if !is {
		return "", errors.New("it does not say where the keys are (jwks_uri)")
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.User != nil || checkLine(address, maxText) != nil {
		return "", errors.New("the address of its keys is no URL")
	}
	if err := checkAddress(parsed); err != nil {
		return "", fmt.Errorf("the address of its keys (jwks_uri): %w", err)
	}
	if parsed.Scheme == "http" && strings.HasPrefix(p.issuer, "https:") {
		return "", errors.New("the address of its keys (jwks_uri) is without TLS")
	}
	return address, nil
}

// get fetches one document. What the provider writes in it is not repeated in errors.
func (p *provider) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, errors.New("the address is no URL")
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := p.client.Do(request)
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	defer response.Body.Close() //nolint:errcheck // read only
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return nil, nil, fmt.Errorf("it leads elsewhere (HTTP %d), and redirects are not followed", response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("answered with HTTP %d", response.StatusCode)
	case response.Header.Get("Content-Encoding") != "":
		return nil, nil, errors.New("the answer is compressed, which nobody asked for")
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, nil, unreachable(ctx, err)
	case len(data) > maxDocument:
		return nil, nil, fmt.Errorf("the answer has more than %d bytes", maxDocument)
	}
	return data, response.Header, nil
}

// unreachable says that nothing came, in fewer words than the HTTP client.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("it cannot be reached: %w", err)
}

// freshness is what Cache-Control says in max-age; 1 ns for an answer that is not to be
// kept, 0 where nothing is said clearly.
func freshness(header http.Header) time.Duration {
	var fresh time.Duration
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-store", "no-cache":
				return 1
			case "max-age":
				seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err == nil {
					fresh = max(time.Duration(seconds)*time.Second, 1)
				}
			}
		}
	}
	return fresh
}
