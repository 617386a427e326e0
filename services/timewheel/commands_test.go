package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

const (
	anID = `[0-9a-f]{8}-[0-9a-f-]{27}`
	none = `^$`
	gone = "01a20a4c-b334-7f2c-a252-84152c4429d5" // an id that no task has
)

// step is what is typed, and what comes: the exit code, and patterns for the two outputs.
type step struct {
	typed    string
	code     int
	out, err string
}

var steps = []step{
	{`timewheel`, 2, none, `a command is missing; timewheel has .*task`},
	{`timewheel --help`, 0, `TIMEWHEEL_KEY`, none},
	{`timewheel version`, 0, `^timewheel \S+`, none},
	{`timewheel --version`, 0, `^timewheel \S+`, none},
	{`timewheel nothing`, 2, none, `there is no command "nothing"`},
	{`timewheel task nothing`, 2, none, `there is no command "nothing"; timewheel task has .*create`},
	{`timewheel task list --nothing`, 2, none, `unknown flag: --nothing; see timewheel task list --help`},
	{`timewheel task list --key x`, 2, none, `TIMEWHEEL_KEY`},
	{`timewheel task list -o yaml`, 2, none, `-o is json or table`},
	{`timewheel task list more`, 2, none, `"more" is one argument too many`},
	{`timewheel task list --limit 0`, 2, none, `--limit`},
	{`timewheel task list --limit 2 --all`, 2, none, `not both`},
	{`timewheel --url nonsense task list`, 2, none, `--url`},
	{`timewheel --timeout 0s task list`, 2, none, `--timeout`},
	{`timewheel --key-file /nothing task list`, 2, none, `read the file of the key`},

	{`timewheel task create foo`, 2, none, `a type or a time is missing`},
	{`timewheel task create foo 2027-06-01T09:00`, 2, none, `has no zone.*2027-06-01T09:00:00Z`},
	{`TZ=America/New_York timewheel task create foo 2027-06-01T09:00`, 2, none, `2027-06-01T09:00:00-04:00`},
	{`timewheel task create foo tomorrow`, 2, none, `"tomorrow" is not a time`},
	{`timewheel task create foo +1h --payload nonsense`, 2, none, `--payload is not JSON`},
	{`timewheel task create foo +1h --payload @nothing`, 2, none, `no such file`},
	{`timewheel task create foo +1h --label nonsense`, 2, none, `key:value`},
	{`timewheel task create nothing +1h`, 6, none, `task_type is not a type that is declared`},
	{`TZ=America/New_York timewheel task create foo 2030-06-01T09:00:00Z`, 0, `^created ` + anID + `, due 2030-06-01T05:00:00-04:00\n$`, none},
	{`timewheel task create foo now --idempotency-key k --payload '{"duration": "1ms"}'`, 0, `^created ` + anID, none},
	{`timewheel task create baz 2031-01-01T00:00:00Z --idempotency-key k`, 5, none, `Idempotency-Key`},
	{`echo '{"n": 12345678901234567890.10}' | timewheel task create foo +1h --payload -`, 0, `created`, none},
	{`timewheel task create baz +1h --not-after +2h --task-timeout 30s --retry '{"delay": "5s"}' --max-attempts 2 -o json >made; timewheel task get $(jq -r .task_id <made) -o json | jq -c '[.timeout, .retry.delay, .max_attempts, .not_after > .due_at]'`, 0, `^\["30s","5s",2,true\]\n$`, none},
	{`timewheel task create foo +1h --not-after 2027-06-01`, 2, none, `has no zone`},
	{`timewheel task list -o json | grep -c 12345678901234567890.10`, 0, `^1\n$`, none},

	{`timewheel task get`, 2, none, `an id is missing`},
	{`timewheel task get nonsense`, 2, none, `"nonsense" is not the id of a task`},
	{`timewheel task get ` + gone, 3, none, `no task of this id`},
	{`timewheel task get $A`, 0, `task id +` + anID + `\n.*execution time +2029-12-31T22:00:00Z\n`, none},
	{`timewheel task get $A -o json | jq -r .status`, 0, `^submitted\n$`, none},
	{`timewheel task list`, 0, `^ID +TYPE +STATUS +DUE +ATTEMPT\n` + anID, none},
	{`timewheel task list --type bar`, 0, `^ID +TYPE +STATUS +DUE +ATTEMPT\n$`, none},
	{`timewheel task list --type bar -o json | jq -c '[.tasks, .next_cursor]'`, 0, `^\[\[\],null\]\n$`, none},
	{`timewheel task list --limit 1`, 0, anID, `there are more: --all lists them, --cursor \S+ goes on`},
	{`timewheel task list --limit 1 -o json | jq '.tasks | length'`, 0, `^1\n$`, none},
	{`timewheel task list --all -o json | jq '.next_cursor'`, 0, `^null\n$`, none},
	{`timewheel task list --status nonsense`, 6, none, `status is not a status`},
	{`timewheel task list --cursor nonsense`, 6, none, `cursor`},

	{`timewheel task move $A`, 2, none, `--to`},
	{`timewheel task move --to +1h`, 2, none, `give ids, or a filter`},
	{`timewheel task move $A --by 1h`, 2, none, `--by moves many`},
	{`timewheel task move $A --type foo --to +1h`, 2, none, `not both`},
	{`timewheel task move $A --to 2030-01-02T00:00:00Z`, 0, `^moved ` + anID + `, due 2030-01-02T00:00:00Z\n$`, none},
	{`timewheel task move $A --to +2h -o json | jq -r '.results[0].answer.status'`, 0, `^submitted\n$`, none},
	{`timewheel task move ` + gone + ` $A --to +2h`, 3, `^moved`, gone + `: There is no task`},

	{`timewheel task delete`, 2, none, `give ids, or a filter`},
	{`timewheel task delete nonsense`, 2, none, `not the id`},
	{`timewheel task delete $A </dev/null`, 0, `^deleted ` + anID + `\n$`, none},
	{`timewheel task delete $B <&-`, 0, `^deleted`, none},
	{`timewheel task delete $DONE $B`, 5, `^deleted`, `can no longer be deleted or changed. Its status is done`},
	{`timewheel task delete $DONE ` + gone + ` -o json | jq -c '[.results[].error.exit_code]'`, 5, `^\[5,3\]\n$`, `.`},
	{`timewheel task delete --type foo </dev/null`, 2, none, `nothing was changed: .*--yes`},
	{`timewheel task delete --type foo <&-`, 2, none, `--yes`},
	{`echo n | timewheel task delete --type foo`, 2, none, `--yes`},
	{`echo y | timewheel task delete --all`, 2, none, `this would delete every task; say --yes`},
	{`timewheel task delete --all --type foo --yes`, 2, none, `not both`},

	{`timewheel task watch nonsense`, 2, none, `not the id`},
	{`timewheel task watch ` + gone, 3, none, `no task`},
	{`timewheel task watch $DONE --type foo`, 2, none, `not both`},
	{`timewheel task watch --interval 1ms`, 2, none, `--interval`},
	{`timewheel task watch $DONE`, 0, `^` + anID + `  done  foo  due \S+\n$`, none},
	{`timewheel task watch -o json $DONE | jq -c .status`, 0, `^"done"\n$`, none},
	{`timewheel task watch --interval 100ms -o json $(timewheel task create baz +300ms -o json | jq -r .task_id) | jq -r .status | uniq | tail -1`, 0, `^done\n$`, none},

	{`timewheel type list`, 0, `^NAME +HANDLER .*\nbar +builtin`, none},
	{`timewheel type list -o json | jq -r '.types[0].name'`, 0, `^bar\n$`, none},
	{`timewheel type get nothing`, 3, none, `no task type of this name`},
	{`timewheel type get ..`, 2, none, `is not a name`},
	{`timewheel type get foo`, 0, `name +foo\nhandler +builtin\n`, none},
	{`timewheel type put invoice`, 2, none, `--from is missing`},
	{`timewheel type put invoice --from '{}'`, 6, none, `handler is required`},
	{`echo '{"handler": "webhook", "webhook": {"url": "https://x.example/", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}, "rate": {"per_second": 0.125}}' | timewheel type put invoice -f -`, 0, `name +invoice`, none},
	{`timewheel type pause invoice`, 0, `^paused invoice\n$`, none},
	{`timewheel type get invoice -o json | jq -c '[.paused, .rate.per_second, .webhook.secret]'`, 0, `^\[true,0.125,null\]\n$`, none},
	{`timewheel type get invoice -o json | timewheel type put invoice -f -`, 0, `paused +true`, none},
	{`timewheel type resume invoice -o json | jq .paused`, 0, `^false\n$`, none},
	{`timewheel type delete foo`, 5, none, `ships`},
	{`timewheel type delete invoice`, 0, `^deleted invoice\n$`, none},
	{`timewheel type pause invoice`, 3, none, `no task type`},

	{`timewheel schedule list`, 0, `^NAME +CRON .*\n$`, none},
	{`timewheel schedule list -o json | jq -c .`, 0, `^{"schedules":\[\]}\n$`, none},
	{`timewheel schedule put report --from '{"cron": "nonsense", "task": {"task_type": "foo"}}'`, 6, none, `cron`},
	{`timewheel schedule put report --from '{"cron": "0 9 * * *", "task": {"task_type": "foo", "payload": {"n": 1.50}}}'`, 0, `name +report`, none},
	{`timewheel schedule list`, 0, `report +0 9 \* \* \* +UTC +foo +false +0\n$`, none},
	{`timewheel schedule get report -o json | jq -c .task.task_type`, 0, `^"foo"\n$`, none},
	{`timewheel schedule next report -n 2`, 0, `^\S+T09:00:00Z\n\S+T09:00:00Z\n$`, none},
	{`timewheel schedule next report -n 2 -o json | jq '.next | length'`, 0, `^2\n$`, none},
	{`timewheel schedule next report -n 0`, 6, none, `n `},
	{`timewheel schedule next nothing`, 3, none, `no schedule`},
	{`timewheel schedule pause report`, 0, `^paused report\n$`, none},
	{`timewheel schedule get report -o json | jq -c '[.paused, .cron]'; timewheel schedule get report | grep -o 1.50`, 0, `^\[true,"0 9 \* \* \*"\]\n1.50\n$`, none},
	{`timewheel schedule resume report`, 0, `^resumed report\n$`, none},
	{`timewheel schedule delete report -o json`, 0, `"report"`, none},
	{`timewheel schedule delete report`, 3, none, `no schedule`},

	{`timewheel task run $C`, 0, `^due now: ` + anID, none},
	{`timewheel task run $DONE`, 5, none, `Its status is done`},
	{`timewheel task run ` + gone, 3, none, `no task`},
	{`timewheel task cancel $D`, 0, `^deleted ` + anID, none},
	{`timewheel task cancel $DONE`, 5, none, `done`},
	{`timewheel task retry $D`, 0, `^created ` + anID + ` in place of ` + anID, none},
	{`timewheel task retry $DONE`, 5, none, `done`},
	{`timewheel task attempts $DONE`, 0, `^ATTEMPT`, none},
	{`timewheel task attempts ` + gone, 3, none, `no task`},
	{`timewheel task create baz +1h --label a:b --label c:d:e`, 0, `^created`, none},
	{`timewheel task list --label a:b --label c:d:e -o json | jq -c '.tasks[].labels'`, 0, `^{"a":"b","c":"d:e"}\n$`, none},
	{`timewheel task create baz +1h --by-key order/42`, 0, `^created`, none},
	{`timewheel task get --by-key order/42 -o json | jq -r .task_type`, 0, `^baz\n$`, none},
	{`timewheel task delete --by-key order/42`, 0, `^deleted`, none},
	{`timewheel task delete --by-key order/42`, 0, `^deleted`, none},
	{`timewheel task delete --by-key nobody`, 3, none, `.`},
	{`timewheel task list --due-before -1h --type foo`, 0, `^ID`, none},
	{`timewheel stats`, 0, `^TYPE +SUBMITTED .*\nbaz +\d+.*overdue: \d+.*a day: \d+\n$`, none},
	{`timewheel stats -o json`, 0, `.`, none},
	{`timewheel op list -o json | jq -c .operations`, 0, `^\[\]\n$`, none},
	{`timewheel op get ` + gone, 3, none, `no operation`},
	{`timewheel op stop ` + gone, 3, none, `no operation`},
	{`timewheel op create delete --type foo --dry-run`, 0, `.`, none},
	{`timewheel op create delete --type foo --yes --wait`, 0, `.`, none},
	{`timewheel key list`, 4, none, `AUTH=keys`},
	{`timewheel key create --name ci --scopes read`, 4, none, `AUTH=keys`},
	{`timewheel key revoke ` + gone, 4, none, `AUTH=keys`},
	{`timewheel key create --name ci`, 2, none, `--scopes`},
	{`timewheel op create`, 2, none, `an action is missing`},
	{`timewheel op create nothing --all`, 2, none, `there is no action "nothing"`},
	{`timewheel op create delete`, 2, none, `give a filter`},
	{`timewheel op create delete --type foo`, 2, none, `--yes`},
	{`timewheel op create delete --type foo --by 1h --yes`, 2, none, `for reschedule alone`},
	{`timewheel op create reschedule --type foo --yes`, 2, none, `--to with a time or --by`},
	{`timewheel op create reschedule --type foo --to 2030-01-01 --yes`, 2, none, `has no zone`},

	{`timewheel completion bash | bash -n`, 0, none, none},
	{`timewheel completion zsh`, 0, `^#compdef timewheel`, none},
	{`timewheel completion fish`, 0, `complete -c timewheel`, none},
	{`timewheel completion tcsh`, 2, none, `bash, zsh and fish`},
	{`timewheel completion`, 2, none, `bash, zsh or fish is missing`},
}

func TestWhatIsTypedAndWhatComes(t *testing.T) {
	url := stack(t)
	sh := newShell(t, url)
	const id = ` -o json | jq -r .task_id`
	sh.keeps("A", `timewheel task create foo 2030-01-01T00:00:00+02:00`+id)
	sh.keeps("B", `timewheel task create foo +1h`+id)
	sh.keeps("C", `timewheel task create foo +1h`+id)
	sh.keeps("D", `timewheel task create foo +1h`+id)
	sh.keeps("DONE", `timewheel task create foo now --payload '{"duration": "1ms"}'`+id)
	code, _, errOut := sh.types(`timewheel task watch --interval 100ms $DONE`)
	require.Zero(t, code, errOut)
	for _, s := range steps {
		code, out, errOut := sh.types(s.typed)
		require.Equal(t, s.code, code, "%s\n%s%s", s.typed, out, errOut)
		require.Regexp(t, `(?s)`+s.out, out, s.typed)
		require.Regexp(t, `(?s)`+s.err, errOut, s.typed)
		if s.code != 0 && s.err != none {
			require.Contains(t, errOut, "timewheel: ", s.typed)
		}
		if strings.Contains(s.typed, "-o json") && !strings.Contains(s.typed, "|") && s.code == 0 {
			require.True(t, json.Valid([]byte(out)), "%s\n%s", s.typed, out)
		}
	}
}

// A command without a step above, or without an example in its help, is not finished.
func TestEveryCommandIsTried(t *testing.T) {
	var typed, missing []string
	for _, s := range steps {
		typed = append(typed, s.typed)
	}
	all := strings.Join(typed, "\n")
	eachCommand((&cli{out: &output{}}).root(), func(cmd *cobra.Command) {
		if !strings.Contains(all, cmd.CommandPath()) || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			missing = append(missing, cmd.CommandPath())
		}
	})
	require.Empty(t, missing)
}

// eachCommand visits the commands that do something.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	if !cmd.HasSubCommands() {
		visit(cmd)
	}
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" {
			eachCommand(sub, visit)
		}
	}
}
