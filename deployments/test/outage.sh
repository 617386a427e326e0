#!/usr/bin/env bash
# What becomes of running tasks when Postgres goes away and comes back. Per row: ten
# workers, twenty foo tasks that run, an outage, and then how each task ended, how
# many were printed, and how many of them twice.
#
#	outage.sh                          all rows, on processes and stores of its own
#	outage.sh stop 10 40               one row: how, seconds of outage, seconds of foo
#	COMPOSE=1 outage.sh ...            on the compose project that is up, with its names
#
# stop is a planned restart, kill is kill -9 of the whole server, and pause stops its
# processes without a word to anybody. On processes it needs PostgreSQL's and Redis'
# servers, psql, curl and Go, and may be run as root. The status is 1 if a task was
# printed twice, did not end, or is worker_lost although its worker lives.
set -euo pipefail
cd "$(dirname "$0")/../.."

rows="stop 10 40
stop 30 5
stop 30 70
stop 60 5
stop 60 90
pause 25 5
pause 25 40
kill 60 40"
[[ $# -eq 0 ]] || rows="$*"

# ----- on processes

processes() {
	dir=$(mktemp -d) && chmod 755 "$dir"
	trap 'finish' EXIT
	bin=$(dirname "$(find /usr/lib/postgresql -name postgres -path '*/bin/*' | sort -V | tail -n 1)")
	user=$(id -un)
	[[ $user != root ]] || user=postgres
	go build -o "$dir/" ./services/api ./services/worker ./services/migrate

	PGPASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') pgport=$(port)
	export PGPASSWORD
	install -d -m 700 -o "$user" "$dir/postgres"
	install -m 600 -o "$user" /dev/null "$dir/password"
	echo "$PGPASSWORD" >"$dir/password"
	as initdb -D "$dir/postgres" -U timewheel -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C --no-sync >"$dir/initdb.log"
	serve
	redisport=$(port)
	redis-server --port "$redisport" --bind 127.0.0.1 --save '' --dir "$dir" >"$dir/redis.log" &
	children=($!)

	export LOG_LEVEL=info
	export DATABASE_URL="postgres://timewheel:$PGPASSWORD@127.0.0.1:$pgport/postgres?sslmode=disable"
	export REDIS_URL="redis://127.0.0.1:$redisport/0"
	"$dir/migrate" up >"$dir/migrate.log" 2>&1
	base=http://127.0.0.1:$(port)
	LISTEN_ADDR=${base#http://} "$dir/api" >"$dir/api.log" 2>&1 &
	children+=($!)
	for n in {1..10}; do
		# So few slots that the tasks are spread over most workers.
		WORKER_CONCURRENCY=3 LISTEN_ADDR=127.0.0.1:0 "$dir/worker" >"$dir/worker.$n.log" 2>&1 &
		children+=($!)
	done
}
finish() {
	kill -9 "${children[@]}" 2>/dev/null || true
	as pg_ctl -D "$dir/postgres" -m immediate stop >/dev/null 2>&1 || true
	rm -rf "$dir"
}
port() {
	local n
	while n=$((RANDOM % 20000 + 10000)) && (: <"/dev/tcp/127.0.0.1/$n") 2>/dev/null; do :; done
	echo "$n"
}
as() {
	local program=$bin/$1
	shift
	if [[ $user == "$(id -un)" ]]; then
		(cd / && "$program" "$@")
	else
		(cd / && setpriv --reuid="$user" --regid="$user" --init-groups "$program" "$@")
	fi
}
serve() {
	as pg_ctl -D "$dir/postgres" -w -l "$dir/postgres/log" start \
		-o "-p $pgport -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300" >/dev/null 2>&1
}
# The postmaster and its children: each of them has to be stopped by its id.
servers() {
	local postmaster
	postmaster=$(head -n 1 "$dir/postgres/postmaster.pid")
	echo "$postmaster"
	ps -o pid= --ppid "$postmaster"
}
processes_sql() { psql -XqAt -h 127.0.0.1 -p "$pgport" -U timewheel -d postgres -c "$1"; }
processes_output() { cat "$dir"/worker.*.log; }
processes_stop() { as pg_ctl -D "$dir/postgres" -m fast stop >/dev/null; }
processes_kill() { servers | xargs kill -9; }
processes_pause() { servers | xargs kill -STOP; }
processes_resume() {
	case $1 in
	pause) servers | xargs kill -CONT ;;
	*) serve ;;
	esac
}

# ----- on containers

containers() { base=http://127.0.0.1:${TIMEWHEEL_PORT:-8080}; }
containers_sql() { docker compose exec -T postgres psql -XqAt -U timewheel -d timewheel -c "$1"; }
containers_output() { docker compose logs --no-log-prefix --no-color worker; }
containers_stop() { docker compose --progress quiet stop postgres; }
containers_kill() { docker compose --progress quiet kill postgres; }
containers_pause() { docker compose --progress quiet pause postgres; }
containers_resume() {
	case $1 in
	pause) docker compose --progress quiet unpause postgres ;;
	*) docker compose --progress quiet start postgres ;;
	esac
}

# ----- the rows

# await SECONDS COMMAND...: whether it succeeds in time.
await() {
	local end=$((SECONDS + $1))
	shift
	while ! "$@" 2>/dev/null; do
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}
count() { [[ $("${ground}_sql" "SELECT count(*) FROM $1") == "$2" ]]; }

row() {
	local how=$1 seconds=$2 foo=$3 ids all printed lost buried
	await 60 count "workers WHERE dead_at IS NULL AND lease_until > now()" 10 ||
		{ echo "there are not ten live workers"; return 1; }
	buried=$("${ground}_sql" "SELECT count(*) FROM workers WHERE dead_at IS NOT NULL")
	all=$(for n in {1..20}; do
		printf ',{"task_type":"foo","execution_time":"2020-01-01T00:00:00Z","payload":{"duration":"%ss"}}' "$foo"
	done)
	ids=$(curl -sS --fail-with-body "$base/task/batch" -H 'Content-Type: application/json' -d "{\"tasks\":[${all#,}]}" |
		grep -oE '[0-9a-f-]{36}' | sed "s/.*/'&'/" | paste -sd,)
	await 20 count "tasks WHERE status = 'started_executing' AND id IN ($ids)" 20 ||
		{ echo "not all tasks have started"; return 1; }
	sleep 1
	"${ground}_$how"
	sleep "$seconds"
	"${ground}_resume" "$how"
	await $((foo + 60)) count "tasks WHERE status IN ('done', 'failed') AND id IN ($ids)" 20 || true

	printed=$("${ground}_output" | grep -oE 'Foo [0-9a-f-]{36}' | grep -F -f <(tr , '\n' <<<"${ids//\'/}") | sort | uniq -c || true)
	all=$("${ground}_sql" "SELECT count(*) FILTER (WHERE status = 'done'), count(*) FILTER (WHERE failure_code = 'worker_lost'),
		count(*) FILTER (WHERE status NOT IN ('done', 'failed')), count(*) FILTER (WHERE failure_code <> 'worker_lost') FROM tasks WHERE id IN ($ids)")
	IFS='|' read -r done lost open other <<<"$all"
	twice=$(awk '$1 > 1' <<<"$printed" | wc -l)
	buried=$(($("${ground}_sql" "SELECT count(*) FROM workers WHERE dead_at IS NOT NULL") - buried))
	printf '| %s %s s | %s s | %s | %s | %s | %s | %s | %s | %s |\n' "$how" "$seconds" "$foo" "$done" "$lost" "$other" "$open" \
		"$(grep -c Foo <<<"$printed" || true)" "$twice" "$buried"
	[[ $lost == 0 && $open == 0 && $twice == 0 ]] || status=1
}

ground=processes
[[ -z ${COMPOSE:-} ]] || ground=containers
"$ground"
status=0
echo '| Postgres | foo | done | worker_lost | failed otherwise | not ended | printed | printed twice | sessions buried |'
echo '|---|---|--:|--:|--:|--:|--:|--:|--:|'
while read -r how seconds foo; do row "$how" "$seconds" "$foo" </dev/null; done <<<"$rows"
exit $status
