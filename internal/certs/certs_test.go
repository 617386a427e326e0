package certs_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience, glance = 20 * time.Second, 5 * time.Millisecond

// issue makes a certificate of a name and its key, as PEM.
func issue(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

type files struct{ cert, key string }

func (f files) write(t *testing.T, certificate, key []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(f.cert, certificate, 0o600))
	require.NoError(t, os.WriteFile(f.key, key, 0o600))
}

func filesIn(folder string) files {
	return files{filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")}
}

// served is the name in the certificate that a handshake gets.
func served(t *testing.T, p *certs.Pair) string {
	t.Helper()
	near, far := net.Pipe()
	server := tls.Server(far, p.Config())
	shaken := make(chan error, 1)
	go func() { shaken <- server.HandshakeContext(t.Context()) }()
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, client.HandshakeContext(t.Context()), "a handshake fails")
	require.NoError(t, <-shaken)
	name := client.ConnectionState().PeerCertificates[0].Subject.CommonName
	_, _ = near.Close(), far.Close()
	return name
}

func TestAPairIsTakenOverOnceItFits(t *testing.T) {
	t.Parallel()
	f := filesIn(t.TempDir())
	one, oneKey := issue(t, "one")
	two, twoKey := issue(t, "two")
	f.write(t, one, oneKey)
	var log bytes.Buffer
	p, err := certs.Load(f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	check := func(name string, lines int) {
		t.Helper()
		for range 3 { // what lasts is told once
			p.Check()
			require.Equal(t, name, served(t, p))
		}
		require.Equal(t, lines, strings.Count(log.String(), "\n"), log.String())
	}
	check("one", 0)
	f.write(t, two, oneKey)
	check("one", 1)
	f.write(t, two, twoKey[:100]) // half written
	check("one", 2)
	f.write(t, two, twoKey)
	check("two", 3)
	f.write(t, []byte("rubbish"), twoKey)
	check("two", 4)
	require.NoError(t, os.Remove(f.cert))
	require.NoError(t, os.Remove(f.key))
	check("two", 5)
	f.write(t, two, twoKey)
	check("two", 6)
	f.write(t, one, oneKey)
	check("one", 7)
	require.NotContains(t, log.String(), strings.Split(string(oneKey), "\n")[1])

	registry := prometheus.NewRegistry()
	p.Register(registry)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.InDelta(t, time.Now().Add(time.Hour).Unix(), families[0].GetMetric()[0].GetGauge().GetValue(), 120)
}

// Kubernetes and ACME clients change a symbolic link to a folder.
func TestALinkThatChangesIsFollowed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"one", "two"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o700))
		certificate, key := issue(t, name)
		filesIn(filepath.Join(folder, name)).write(t, certificate, key)
	}
	link := filepath.Join(folder, "current")
	require.NoError(t, os.Symlink("one", link))
	f := filesIn(link)
	p, err := certs.Load(f.cert, f.key, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { _ = p.Watch(ctx) })
	defer func() { cancel(); watching.Wait() }()
	require.Equal(t, "one", served(t, p))
	require.NoError(t, os.Symlink("two", link+".new"))
	require.NoError(t, os.Rename(link+".new", link))
	require.Eventually(t, func() bool { return served(t, p) == "two" }, patience, glance)
}

func TestABadPairAtTheStartIsAnError(t *testing.T) {
	t.Parallel()
	f := filesIn(t.TempDir())
	log := slog.New(slog.DiscardHandler)
	_, err := certs.Load(f.cert, f.key, log)
	require.ErrorContains(t, err, "TLS_CERT names "+f.cert)
	one, _ := issue(t, "one")
	_, twoKey := issue(t, "two")
	require.NoError(t, os.WriteFile(f.cert, one, 0o600))
	_, err = certs.Load(f.cert, f.key, log)
	require.ErrorContains(t, err, "TLS_KEY names "+f.key)
	f.write(t, one, twoKey)
	_, err = certs.Load(f.cert, f.key, log)
	require.ErrorContains(t, err, f.cert)
	require.ErrorContains(t, err, f.key)
}
