package deployments_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/test/testkit"
)

// node runs a program until the test ends, and returns where it listens.
func node(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	}))
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// scrape reads the metrics of a node. It is empty while the node does not answer.
func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	require.NoError(t, err)
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	return families
}

var (
	metricName = regexp.MustCompile(`timewheel_[a-z_]+`)
	matcher    = regexp.MustCompile(`(timewheel_[a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`\b(?:by|on|without)\s*\(([^)]*)\)`)
)

// What the dashboard and the alerts ask for is there, by the names and with the labels that
// the programs give.
func TestDashboardAndRulesNameWhatIsThere(t *testing.T) {
	t.Setenv("DATABASE_URL", testkit.Postgres(t))
	t.Setenv("REDIS_URL", testkit.Redis(t))
	t.Setenv("API_SHUTDOWN_DELAY", "0s")
	api, worker := freeAddress(t), freeAddress(t)
	t.Setenv("LISTEN_ADDR", api)
	apiConfig, err := config.LoadAPI()
	require.NoError(t, err)
	node(t, func(ctx context.Context) error { return app.RunAPI(ctx, apiConfig, io.Discard) })
	t.Setenv("LISTEN_ADDR", worker)
	workerConfig, err := config.LoadWorker()
	require.NoError(t, err)
	node(t, func(ctx context.Context) error { return app.Worker{}.Run(ctx, workerConfig, io.Discard) })

	var seen []map[string]*dto.MetricFamily
	require.Eventually(t, func() bool {
		seen = []map[string]*dto.MetricFamily{scrape(t, api), scrape(t, worker)}
		return seen[0]["timewheel_http_request_duration_seconds"] != nil && seen[1]["timewheel_overdue_tasks"] != nil &&
			seen[1]["timewheel_loop_failures_total"] != nil
	}, 30*time.Second, 50*time.Millisecond)

	labels := map[string][]string{}
	for _, families := range seen {
		for name, family := range families {
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					labels[name] = append(labels[name], label.GetName())
				}
			}
			if family.GetType() == dto.MetricType_HISTOGRAM {
				labels[name+"_bucket"] = append(slices.Clone(labels[name]), "le")
				labels[name+"_count"], labels[name+"_sum"] = labels[name], labels[name]
			}
			labels[name] = append(labels[name], "instance")
		}
	}
	check := func(where, expr string) {
		given := []string{"instance", "type"} // label_replace makes the second out of task_type
		for _, name := range metricName.FindAllString(expr, -1) {
			require.Contains(t, labels, name, where)
			given = append(given, labels[name]...)
		}
		for _, part := range matcher.FindAllStringSubmatch(expr, -1) {
			for _, label := range labelName.FindAllStringSubmatch(part[2], -1) {
				require.Contains(t, labels[part[1]], label[1], "%s: %s", where, part[1])
			}
		}
		for _, group := range grouping.FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(group[1], ",") {
				if label = strings.TrimSpace(label); label != "" {
					require.Contains(t, given, label, where)
				}
			}
		}
	}
	for _, r := range rules(t) {
		check(r.Alert, r.Expr)
	}
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
		}
	}
}
