package main

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

// completed is what a shell is told for this line, up to the directive.
func completed(t *testing.T, environ map[string]string, args ...string) []string {
	t.Helper()
	code, out, errOut := runHere(t, environ, append([]string{"__complete"}, args...)...)
	require.Zero(t, code, errOut)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.NotEmpty(t, lines)
	require.Equal(t, ":4", lines[len(lines)-1], "no files are to be completed")
	return lines[:len(lines)-1]
}

func TestCompletion(t *testing.T) {
	url := stack(t)
	c, err := client.New(url)
	require.NoError(t, err)
	_, err = c.PutSchedule(t.Context(), client.Schedule{Name: "report.daily", Every: "1h", Task: client.ScheduledTask{Type: "foo"}})
	require.NoError(t, err)
	here := map[string]string{"TIMEWHEEL_URL": url}
	require.Equal(t, []string{"bar", "baz", "foo", "webhook"}, completed(t, here, "task", "create", ""))
	require.Contains(t, completed(t, here, "task", "list", "--type", "b"), "baz")
	require.Equal(t, []string{"report.daily"}, completed(t, here, "schedule", "pause", ""))
	require.Empty(t, completed(t, here, "schedule", "pause", "report.daily", ""))
	require.Contains(t, completed(t, nil, "task", "list", "--status", "s"), "started_executing")
	require.Equal(t, []string{"json", "table"}, completed(t, nil, "type", "list", "-o", ""))
	require.Empty(t, completed(t, here, "task", "get", ""))
}

// A bash without bash-completion, and what it would put in place of the word, or of its part
// after the last colon.
func TestCompletionInBash(t *testing.T) {
	url := answers(t, 200, "application/json", `{
		"types": [{"name": "mail"}, {"name": "mail.bulk"}, {"name": "foo"}],
		"tasks": [{"labels": {"customer": "42", "link": "a:b c"}}]}`)
	sh := newShell(t, url)
	for line, want := range map[string]string{
		"timewheel task create ma":              "mail\nmail.bulk\n",
		"timewheel type list --out":             "--output\n",
		"timewheel task list --label customer:": "42\n",
		"timewheel task list --label cust":      "customer:42\n",
		"timewheel task list --label link:a:":   "b\\ c\n",
	} {
		code, out, errOut := sh.types(`source <(timewheel completion bash)
			compopt() { :; }
			COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
			COMP_LINE='` + line + `' COMP_POINT=` + strconv.Itoa(len(line)) + ` COMP_TYPE=9
			__start_timewheel timewheel
			[[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\n' "${COMPREPLY[@]}"`)
		require.Zero(t, code, errOut)
		require.Empty(t, errOut, line)
		require.Equal(t, want, strings.ReplaceAll(out, " \n", "\n"), line)
	}
}

// Nothing is completed, soon, and nothing is printed, if the API does not answer.
func TestCompletionWithoutAnAPI(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	for _, environ := range []map[string]string{
		{"TIMEWHEEL_URL": "http://" + silent.Addr().String()},
		{"TIMEWHEEL_URL": "http://127.0.0.1:1"},
		{"TIMEWHEEL_URL": "nonsense"},
		{"TIMEWHEEL_URL": answers(t, 200, "text/html", "<html>")},
		{"TIMEWHEEL_URL": answers(t, 401, "application/json", "{}"), "TIMEWHEEL_KEY": "tw_secret"},
		{"TIMEWHEEL_KEY_FILE": "/nothing"},
	} {
		require.Less(t, completionPatience, time.Second)
		require.Empty(t, completed(t, environ, "task", "create", ""))
		require.Empty(t, completed(t, environ, "schedule", "get", ""))
		require.Empty(t, completed(t, environ, "task", "list", "--label", ""))
	}
}
