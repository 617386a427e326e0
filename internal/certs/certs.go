// Package certs serves TLS with a certificate and a key that may change while they are served.
//
// They are two files, and whoever writes them does so one after the other. So a pair is taken over
// only if it fits together; until then, and whatever is wrong with the files, the last good pair
// stays. The files are read every second by their paths, which finds what any tool does to
// them: writing in place, renaming, or changing the symbolic links on the way.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pace is how often the files are read.
const pace = time.Second

// maxFile bounds what is read of a file, in bytes.
const maxFile = 1 << 20

// Pair is a certificate and its key, read from two files.
type Pair struct {
	certFile, keyFile string

	log  *slog.Logger
	good atomic.Pointer[tls.Certificate]
	// content is what the files held when they were read last, and fault what was wrong then.
	content [2]string
	fault   string
}

// Load reads a pair. The error says what is wrong with which file.
func Load(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log.With("component", "tls")}
	certificate, content, err := p.read()
	if err != nil {
		return nil, err
	}
	p.content = content
	p.good.Store(certificate)
	return p, nil
}

func (p *Pair) read() (*tls.Certificate, [2]string, error) {
	var content [2]string
	for i, file := range []struct{ variable, path string }{{"TLS_CERT", p.certFile}, {"TLS_KEY", p.keyFile}} {
		text, err := os.ReadFile(file.path)
		if err == nil && len(text) > maxFile {
			err = errors.New("it is larger than 1 MiB")
		}
		if broken, ok := errors.AsType[*fs.PathError](err); ok {
			err = broken.Err // the path is named already
		}
		if err != nil {
			return nil, content, fmt.Errorf("%s names %s, which cannot be read: %w", file.variable, file.path, err)
		}
		content[i] = string(text)
	}
	certificate, err := tls.X509KeyPair([]byte(content[0]), []byte(content[1]))
	if err != nil {
		return nil, content, fmt.Errorf("the files of TLS_CERT (%s) and TLS_KEY (%s) are no pair: %w", p.certFile, p.keyFile, err)
	}
	return &certificate, content, nil
}

// Watch takes over each good pair that the files come to hold, until ctx ends.
func (p *Pair) Watch(ctx context.Context) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.Check()
		}
	}
}

// Check reads the files once. It may not run beside itself.
func (p *Pair) Check() {
	certificate, content, err := p.read()
	if err != nil {
		if err.Error() != p.fault {
			p.log.Warn("the TLS certificate was not taken over, and the one before is served", "error", err)
		}
		p.fault, p.content = err.Error(), content
		return
	}
	if content == p.content && p.fault == "" {
		return
	}
	p.fault, p.content = "", content
	p.good.Store(certificate)
	p.log.Info("the TLS certificate was taken over", "not_after", certificate.Leaf.NotAfter)
}

// Config serves the pair that is good at each handshake.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.good.Load(), nil },
	}
}

// Register adds a metric that says until when the certificate is good.
func (p *Pair) Register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "timewheel_tls_certificate_not_after_seconds",
		Help: "When the TLS certificate that is served ends, in seconds since 1970.",
	}, func() float64 { return float64(p.good.Load().Leaf.NotAfter.Unix()) }))
}
