package deployments_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// promtool runs Prometheus' own checks, where they are installed: .ci/run sees to that.
func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("PROMTOOL IS NOT INSTALLED: the rules are not tested; on Debian it is in the package prometheus")
	}
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Dir = "prometheus"
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestRulesAreValid(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "--lint-fatal", "rules.yml")
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	promtool(t, "test", "rules", "rules_test.yml")
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// rule is one alert.
type rule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "prometheus/rules.yml")), &file))
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

func TestEveryAlertHasItsLineInTheRunbookAndItsTest(t *testing.T) {
	t.Parallel()
	runbook, tests := read(t, "../docs/monitoring.md"), read(t, "prometheus/rules_test.yml")
	for _, r := range rules(t) {
		require.Equal(t, "docs/monitoring.md#"+strings.ToLower(r.Alert), r.Annotations["runbook"])
		require.Contains(t, runbook, "\n### "+r.Alert+"\n")
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.Contains(t, []string{"page", "ticket", "info"}, r.Labels["severity"], r.Alert)
		require.Contains(t, tests, `alertname="`+r.Alert+`"`, "no test sees it fire")
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Timewheel\w+)$`).FindAllStringSubmatch(runbook, -1) {
		require.True(t, slices.ContainsFunc(rules(t), func(r rule) bool { return r.Alert == heading[1] }), heading[1])
	}
}

// The blocks of the page do what they say, but for those that need an engine.
func TestShellBlocksOfThePageRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("PROMTOOL IS NOT INSTALLED: the page's commands are not run")
	}
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(read(t, "../docs/monitoring.md"), -1) {
		if strings.Contains(block[1], "docker") {
			continue
		}
		command := exec.CommandContext(t.Context(), "sh", "-ec", block[1])
		command.Dir = ".."
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
		ran++
	}
	require.Positive(t, ran)
}

// dashboard is what a test looks at of Grafana's JSON.
type dashboard struct {
	UID    *string `json:"uid"`
	ID     *int    `json:"id"`
	Panels []struct {
		Title   string `json:"title"`
		Type    string `json:"type"`
		Targets []struct {
			Expr       string `json:"expr"`
			Datasource struct {
				UID string `json:"uid"`
			} `json:"datasource"`
		} `json:"targets"`
	} `json:"panels"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	require.NoError(t, json.Unmarshal([]byte(read(t, "grafana/timewheel.json")), &d))
	require.NotEmpty(t, d.Panels)
	return d
}

// A dashboard that names the ids of its author's machine opens in red elsewhere.
func TestDashboardBelongsToNoMachine(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	require.Nil(t, d.UID)
	require.Nil(t, d.ID)
	for _, panel := range d.Panels {
		require.Equal(t, panel.Type == "row", len(panel.Targets) == 0, panel.Title)
		for _, target := range panel.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, panel.Title)
		}
	}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		if !entry.IsDir() && !strings.HasSuffix(path, "_test.go") {
			require.NotContains(t, read(t, path), "${DS_", path)
			require.NotRegexp(t, `(?m)^\s*uid:`, read(t, path), path)
		}
		return nil
	}))
}

// loadObserved is load with the profile observability.
func loadObserved(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join("..", "docker-compose.yml")},
		cli.WithProfiles([]string{"observability"}), cli.WithEnv(nil))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

// Without the profile none of it is there, and nothing that is there needs it.
func TestProfileAddsAndChangesNothingElse(t *testing.T) {
	t.Parallel()
	plain, project := load(t), loadObserved(t)
	added := slices.DeleteFunc(project.ServiceNames(), func(name string) bool { return slices.Contains(plain.ServiceNames(), name) })
	require.ElementsMatch(t, []string{"prometheus", "grafana", "jaeger"}, added)
	for _, name := range plain.ServiceNames() {
		for needed := range project.Services[name].DependsOn {
			require.NotContains(t, added, needed, name)
		}
	}
	for _, name := range added {
		service := project.Services[name]
		require.NotNil(t, service.Logging, name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
		require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt, name)
		require.Positive(t, service.MemLimit, name)
		require.Positive(t, service.PidsLimit, name)
		require.Regexp(t, `:v?\d+\.\d+\.\d+$`, service.Image)
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
		}
		for _, mounted := range service.Configs {
			require.FileExists(t, project.Configs[mounted.Source].File, name)
		}
	}
	require.NotContains(t, project.Services["grafana"].Networks, "stores")
	for _, name := range []string{"api", "worker"} {
		require.Empty(t, *project.Services[name].Environment["OTEL_EXPORTER_OTLP_ENDPOINT"], name)
	}
}
