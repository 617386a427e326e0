package deployments_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServicesHaveNoRightsThatTheyDoNotNeed(t *testing.T) {
	t.Parallel()
	project := load(t)
	for name, service := range project.Services {
		require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt, name)
		require.Positive(t, service.PidsLimit, name)
		require.False(t, service.Privileged, name)
		if name != "redis" { // maxmemory bounds it
			require.Positive(t, service.MemLimit, name)
		}
	}
	for _, name := range []string{"api", "worker", "migrate", "proxy"} {
		require.Equal(t, []string{"ALL"}, project.Services[name].CapDrop, name)
	}
	for _, name := range []string{"api", "worker", "migrate"} {
		require.True(t, project.Services[name].ReadOnly, name)
	}
	require.Contains(t, strings.Join(project.Services["redis"].Command, " "), "--maxmemory 512mb")
}

func TestProxyReachesNoStore(t *testing.T) {
	t.Parallel()
	project := load(t)
	want := map[string][]string{
		"postgres": {"stores"}, "redis": {"stores"}, "migrate": {"stores"}, "worker": {"stores"},
		"api": {"front", "stores"}, "proxy": {"front"},
	}
	for name, service := range project.Services {
		require.ElementsMatch(t, want[name], slices.Collect(maps.Keys(service.Networks)), name)
	}
	require.False(t, project.Networks["stores"].Internal, "it publishes the ports of the stores")
}

// The checks of ten idle workers once cost more than the workers.
func TestHealthChecksAreRareOnceAServiceRuns(t *testing.T) {
	t.Parallel()
	for name, service := range load(t).Services {
		if check := service.HealthCheck; check != nil {
			require.GreaterOrEqual(t, time.Duration(*check.Interval), 30*time.Second, name)
			require.LessOrEqual(t, time.Duration(*check.StartInterval), time.Second, name)
		}
	}
}

var passwords = []string{"DATABASE_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}

func TestPasswordsStandApartFromURLs(t *testing.T) {
	t.Parallel()
	for name, service := range load(t).Services {
		for variable, value := range service.Environment {
			if strings.HasSuffix(variable, "_URL") {
				require.NotContains(t, *value, ":timewheel@", "%s: %s", name, variable)
			}
		}
	}
}

func TestSecretsAreOnlyInFiles(t *testing.T) {
	t.Parallel()
	plain, project := load(t), load(t, "secrets.yml")
	for name, service := range project.Services {
		given := map[string]bool{}
		for _, secret := range service.Secrets {
			require.Equal(t, "/secrets/"+secret.Source, project.Secrets[secret.Source].File)
			given["/run/secrets/"+secret.Source] = true
		}
		for _, variable := range passwords {
			if _, used := plain.Services[name].Environment[variable]; used {
				require.Empty(t, *service.Environment[variable], "%s: %s", name, variable)
				require.Contains(t, given, *service.Environment[variable+"_FILE"], "%s: %s", name, variable)
			}
		}
	}
	require.Equal(t, plain.Services["redis"].Command, project.Services["redis"].Command)
	require.Contains(t, strings.Join(project.Services["redis"].Entrypoint, " "), "/run/secrets/redis-password")
}

func TestEnvExampleIsWhatCanBeSet(t *testing.T) {
	t.Parallel()
	compose, err := os.ReadFile("../docker-compose.yml")
	require.NoError(t, err)
	example, err := os.ReadFile("../.env.example")
	require.NoError(t, err)
	defaults, examples := map[string]string{}, map[string]string{}
	for _, match := range regexp.MustCompile(`\$\{(\w+):-(.*?)\}`).FindAllStringSubmatch(string(compose), -1) {
		defaults[match[1]] = match[2]
	}
	for _, match := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(string(example), -1) {
		examples[match[1]] = match[2]
	}
	require.NotEmpty(t, defaults)
	require.Equal(t, defaults, examples)
}

func TestImagesSayWhichVersionTheyAre(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	require.NotContains(t, string(dockerfile), "# syntax=", "it would ask a registry in each build")
	for _, name := range []string{"VERSION", "REVISION", "CREATED"} {
		require.Contains(t, string(dockerfile), `org.opencontainers.image.`+strings.ToLower(name)+`="$`+name+`"`)
	}
	project := load(t)
	for _, name := range []string{"api", "worker", "migrate"} {
		service := project.Services[name]
		require.Equal(t, "timewheel/"+name+":dev", service.Image)
		require.Equal(t, "dev", *service.Build.Args["VERSION"], name)
	}
}
