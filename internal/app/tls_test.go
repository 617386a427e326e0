package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/test/testkit"
)

// certificate writes one for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, text, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	roots = x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	return certFile, keyFile, roots
}

// Both programs serve HTTPS, and their health check knows it.
func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, roots := certificate(t)
	shared := config.Shared{
		Database: config.Database{DatabaseURL: testkit.Postgres(t)}, RedisURL: testkit.Redis(t), RedisPrefix: "timewheel", WheelShards: 1,
		WheelHorizon: time.Hour, BarURL: "https://example.com/", TaskTimeout: time.Minute, TLSCert: certFile, TLSKey: keyFile,
	}
	free := func() string {
		listener := listen(t)
		defer listener.Close()
		return listener.Addr().String()
	}
	log := &lockedBuffer{}
	for addr, run := range map[string]func(ctx context.Context, addr string) error{
		free(): func(ctx context.Context, addr string) error {
			return app.RunAPI(ctx, config.API{ListenAddr: addr, MaxInFlight: 8, Auth: "off", Shared: shared}, log)
		},
		free(): func(ctx context.Context, addr string) error {
			return app.Worker{}.Run(ctx, config.Worker{ListenAddr: addr, Concurrency: 1, Lease: 15 * time.Second, Retention: time.Hour, Shared: shared}, log)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, addr) }()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		client := &http.Client{Transport: transport}
		require.Eventually(t, func() bool { return telemetry.Healthcheck(addr, true) == nil }, patience, glance)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/metrics", http.NoBody)
		require.NoError(t, err)
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, 2, response.ProtoMajor)
		require.Error(t, telemetry.Healthcheck(addr, false), "there is no HTTP")
		transport.CloseIdleConnections()
		cancel()
		require.NoError(t, <-ended)
	}
	require.NotContains(t, log.String(), "everybody who reaches", "it is loopback")
}

func TestAnOpenAddressIsWarnedOf(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	cfg := config.API{ListenAddr: ":0", MaxInFlight: 8, Auth: "off", Shared: config.Shared{
		Database: config.Database{DatabaseURL: testkit.Postgres(t)}, RedisURL: testkit.Redis(t), RedisPrefix: "timewheel", WheelShards: 1,
		WheelHorizon: time.Hour, BarURL: "https://example.com/", TaskTimeout: time.Minute,
	}}
	for auth, lines := range map[string]bool{"off": true, "keys": false} {
		cfg.Auth = auth
		log.all.Reset()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- app.RunAPI(ctx, cfg, log) }()
		require.Eventually(t, func() bool { return contains(log, "http server listening") }, patience, glance)
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, lines, contains(log, "everybody who reaches this address"), auth)
	}
}
