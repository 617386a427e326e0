// Package deployments_test reads what runs timewheel elsewhere: no engine is
// at hand where the tests run.
package deployments_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/config"
)

// load reads docker-compose.yml, with these files of this folder laid over it, and
// without the environment of this process.
func load(t *testing.T, over ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(append([]string{filepath.Join("..", "docker-compose.yml")}, over...),
		cli.WithEnv([]string{"SECRETS_DIR=/secrets"}))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func TestServicesAreThoseOfTheDesign(t *testing.T) {
	t.Parallel()
	project := load(t)
	require.ElementsMatch(t, []string{"postgres", "redis", "migrate", "api", "proxy", "worker"}, project.ServiceNames())
	api, worker := project.Services["api"], project.Services["worker"]
	require.Equal(t, 1, api.GetScale())
	require.Equal(t, 10, worker.GetScale())
}

func TestPortsAreOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	published := 0
	for name, service := range load(t).Services {
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
			published++
		}
	}
	require.Equal(t, 3, published, "postgres, redis and the proxy")
}

func TestEveryServiceThatStaysIsCheckedAndComesBack(t *testing.T) {
	t.Parallel()
	for name, service := range load(t).Services {
		require.NotNil(t, service.Logging, name)
		if name == "migrate" {
			continue
		}
		require.NotNil(t, service.HealthCheck, name)
		require.Equal(t, types.RestartPolicyUnlessStopped, service.Restart, name)
		require.NotNil(t, service.StopGracePeriod, name)
	}
}

// Any number of APIs has one address.
func TestAPIsAreReachedThroughTheProxy(t *testing.T) {
	t.Parallel()
	project := load(t)
	require.Empty(t, project.Services["api"].Ports)
	proxy := project.Configs["haproxy"].Content
	require.Contains(t, proxy, "api:8080 check")
	require.Contains(t, proxy, "httpchk GET /readyz")
}

func TestHealthChecksNeedNoShellInOurImages(t *testing.T) {
	t.Parallel()
	project := load(t)
	for _, name := range []string{"api", "worker"} {
		require.Equal(t, types.HealthCheckTest{"CMD", "/" + name, "healthcheck"}, project.Services[name].HealthCheck.Test)
	}
}

func TestServicesWaitForWhatTheyNeed(t *testing.T) {
	t.Parallel()
	project := load(t)
	require.Equal(t, types.ServiceConditionHealthy, project.Services["migrate"].DependsOn["postgres"].Condition)
	for _, name := range []string{"api", "worker"} {
		needs := project.Services[name].DependsOn
		require.Equal(t, types.ServiceConditionCompletedSuccessfully, needs["migrate"].Condition, name)
		require.Equal(t, types.ServiceConditionHealthy, needs["postgres"].Condition, name)
		require.Equal(t, types.ServiceConditionHealthy, needs["redis"].Condition, name)
	}
}

func TestStoresKeepWhatTheyAreGiven(t *testing.T) {
	t.Parallel()
	project := load(t)
	postgres, redis := project.Services["postgres"], project.Services["redis"]

	require.Equal(t, "postgres:18", postgres.Image)
	require.Len(t, postgres.Volumes, 1)
	require.Equal(t, "/var/lib/postgresql", postgres.Volumes[0].Target, "where version 18 keeps its data")
	require.NotContains(t, strings.Join(postgres.Command, " "), "fsync")
	require.NotContains(t, strings.Join(postgres.Command, " "), "synchronous_commit")

	require.True(t, strings.HasPrefix(redis.Image, "redis:8"))
	require.Equal(t, "/data", redis.Volumes[0].Target)
	command := strings.Join(redis.Command, " ")
	require.Contains(t, command, "--appendonly yes")
	require.Contains(t, command, "--maxmemory-policy noeviction")
}

func TestWorkersAreGivenTimeToDrain(t *testing.T) {
	t.Parallel()
	worker := load(t).Services["worker"]
	drain, err := time.ParseDuration(*worker.Environment["WORKER_DRAIN"])
	require.NoError(t, err)
	require.Greater(t, time.Duration(*worker.StopGracePeriod), drain)
}

// A misspelt variable would be ignored in silence.
func TestEnvironmentIsWhatTheServicesRead(t *testing.T) {
	t.Parallel()
	var api, worker strings.Builder
	require.NoError(t, config.Usage(&api, "api", config.API{}))
	require.NoError(t, config.Usage(&worker, "worker", config.Worker{}))
	documented := map[string]string{"api": api.String(), "worker": worker.String(), "migrate": "DATABASE_URL DATABASE_PASSWORD"}
	project := load(t)
	for name, text := range documented {
		environment := project.Services[name].Environment
		require.Contains(t, environment, "DATABASE_URL", name)
		for variable := range environment {
			require.Contains(t, text, variable, name)
		}
	}
}

func TestImagesAreBuiltFromTargetsThatExist(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(dockerfile), "CGO_ENABLED=0")
	require.Contains(t, string(dockerfile), "USER 65532:65532")
	project := load(t)
	for _, name := range []string{"api", "worker", "migrate"} {
		build := project.Services[name].Build
		require.NotNil(t, build, name)
		require.Equal(t, "deployments/Dockerfile", build.Dockerfile)
		require.Contains(t, string(dockerfile), " AS "+build.Target+"\n")
	}
}
