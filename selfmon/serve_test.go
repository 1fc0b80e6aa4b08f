package selfmon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/bcrypt"

	"github.com/projecteru2/eru-agent/port/porttest"
)

// serve runs r's port until the test ends, and returns its address.
func (r *rig) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = conn.Close()
			t.Error("the port is still open")
		}
	})
	return l.Addr().String()
}

func get(client *http.Client, url, password string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if password != "" {
		req.SetBasicAuth("prometheus", password)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// TestServe asks the agent's port by its names and by another, and to be written to.
func TestServe(t *testing.T) {
	addr := inSession(HTTP{Addr: "node7.example.com:12345"}).serve(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, tt := range []struct {
		method, host string
		code         int
	}{
		{"GET", addr, http.StatusOK}, {"GET", "n1", http.StatusOK}, {"GET", "node7.example.com", http.StatusOK},
		{"GET", "evil.example", http.StatusMisdirectedRequest}, {"POST", addr, http.StatusMethodNotAllowed},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+addr+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.code {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.host, resp.StatusCode, tt.code)
		}
	}
}

// certificate writes a fresh certificate for 127.0.0.1 with its key into dir.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(certPEM))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestServeWithTLSAndPassword(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.yml")
	write(t, file, fmt.Sprintf("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  prometheus: %s\n", hash))
	addr := inSession(HTTP{WebConfig: file}).serve(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, tt := range []struct {
		password string
		want     int
	}{{"secret", 200}, {"guess", 401}, {"", 401}} {
		for _, path := range []string{"/", "/metrics", "/status", "/healthz"} {
			if code, err := get(client, "https://"+addr+path, tt.password); code != tt.want || err != nil {
				t.Errorf("%s with password %q: %d, %v", path, tt.password, code, err)
			}
		}
	}
	if _, err := get(&http.Client{Transport: &http.Transport{}}, "https://"+addr+"/", "secret"); err == nil {
		t.Error("an unknown certificate was taken")
	}
	if code, err := get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+addr+"/", "secret"); code == 200 {
		t.Errorf("plain text was answered: %v", err)
	}
}

func TestServeWithWrongWebConfig(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ content, want string }{
		"unknown key":    {"tls_server_confg:\n  cert_file: x\n", "field tls_server_confg not found"},
		"no certificate": {"tls_server_config:\n  cert_file: none.pem\n  key_file: none.key\n", "none.pem: no such file or directory"},
		"no key":         {"tls_server_config:\n  cert_file: none.pem\n", "missing one of key"},
		"no hash":        {"basic_auth_users:\n  prometheus: secret\n", "hashedSecret too short"},
		"no file":        {"", "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".yml")
			if tt.content != "" {
				write(t, file, tt.content)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			err = inSession(HTTP{WebConfig: file}).Serve(t.Context(), l)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want one with %q and the file's name", err, tt.want)
			}
			if _, err := l.Accept(); err == nil {
				t.Error("the listener is still open")
			}
		})
	}
}

// Who follows the page and does not read what changes is cut off in time, and counted.
func TestWhoDoesNotReadTheNewsIsCut(t *testing.T) {
	const within = 5 * time.Second // as docs/operating.md says
	synctest.Test(t, func(t *testing.T) {
		r := inSession(HTTP{})
		l := porttest.Listen()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Serve(ctx, l) }()
		client := l.Dial()
		if _, err := io.WriteString(client, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		elapse(within - time.Millisecond)
		if n := testutil.ToFloat64(r.cut); n != 0 {
			t.Errorf("%.0f are counted too early", n)
		}
		elapse(2 * time.Millisecond)
		if n := testutil.ToFloat64(r.cut); n != 1 {
			t.Errorf("%.0f are counted", n)
		}
		if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("it is still open: %d bytes, %v", n, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
