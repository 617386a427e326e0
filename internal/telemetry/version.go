package telemetry

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version and revision are set when a release is built:
//
//	go build -ldflags "-X github.com/timewheel/timewheel/internal/telemetry.version=1.2.3 -X ...revision=abc"
var version, revision string

// Version tells which build this is, in one line: its version, the revision of its
// source, and Go's version.
func Version() string {
	number, source := build()
	return number + " (" + source + ", " + runtime.Version() + ")"
}

// build falls back on what the Go command noted.
func build() (number, source string) {
	number, source = version, revision
	if info, ok := debug.ReadBuildInfo(); ok {
		number = cmp.Or(number, info.Main.Version)
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				source = cmp.Or(source, setting.Value)
			}
		}
	}
	return cmp.Or(number, "(devel)"), cmp.Or(source, "unknown revision")
}

// newBuildInfo is the metric of the build, as the client library makes it, but with
// the version that a release was given.
func newBuildInfo() prometheus.Collector {
	number, source := build()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "go_build_info",
		Help: "Which build this is.",
		ConstLabels: prometheus.Labels{
			"path": "github.com/timewheel/timewheel", "version": number, "checksum": "", "revision": source,
		},
	})
	gauge.Set(1)
	return gauge
}
