#!/usr/bin/env bash
# Lets timewheel run at a rate with a short retention, and writes what grows: soak.sh SECONDS RATE
# FILE. DATABASE_URL and REDIS_URL name empty stores, bin/ has the programs. Each line of FILE,
# every 15 s, has: seconds; bytes of tasks_open; bytes of the history; dead rows of tasks_open;
# partitions; resident kB of the API, of the worker, of the backends together (their private part),
# of Redis; connections; lateness p50, p99 in ms of the tasks that ended since; tasks that ended.
# soak.awk draws it.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1 rate=$2 file=$3
export LISTEN_ADDR=127.0.0.1:18090 TASK_RETENTION=${TASK_RETENTION:-10m}
sql() { psql -qAtX -F ' ' "$DATABASE_URL" -c "$1"; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
private() { # of all processes of these ids
	local kb=0 pid
	for pid in "$@"; do kb=$((kb + $(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0))); done
	echo "$kb"
}
bin/migrate up >/dev/null
bin/api 2>/dev/null >&2 &
api=$!
LISTEN_ADDR=127.0.0.1:18091 bin/worker 2>/dev/null >&2 &
worker=$!
# Five requests a second, of tasks that fall due within the next three seconds.
(
	n=$((rate / 5))
	while :; do
		awk -v n="$n" -v now="$(date +%s%3N)" 'BEGIN {
			printf "{\"tasks\":["
			for (i = 0; i < n; i++) {
				at = now + 1000 + i * 2000 / n
				printf "%s{\"task_type\":\"baz\",\"execution_time\":\"%s.%03dZ\"}", i ? "," : "", strftime("%Y-%m-%dT%H:%M:%S", at / 1000, 1), at % 1000
			}
			print "]}"
		}' | curl -s -o /dev/null -H 'Content-Type: application/json' --data-binary @- "http://$LISTEN_ADDR/task/batch" &
		sleep 0.2
		wait
	done
) &
load=$!
trap 'kill $load $api $worker 2>/dev/null || true' EXIT
redis=$(redis-cli -u "$REDIS_URL" info server | awk -F: '/^process_id/ { print $2 + 0 }')
start=$(date +%s)
: >"$file"
while now=$(($(date +%s) - start)) && ((now < seconds)); do
	sleep 15
	mapfile -t backends < <(sql "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	echo "$now $(sql "SELECT pg_total_relation_size('tasks_open'),
		(SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('tasks_ended') WHERE isleaf),
		(SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'tasks_open'),
		(SELECT count(*) FROM history_parts)") $(resident $api) $(resident $worker) $(private "${backends[@]}") $(resident "$redis") ${#backends[@]} $(sql "
		SELECT coalesce(round(percentile_cont(0.5) WITHIN GROUP (ORDER BY late)::numeric, 2), 0),
		       coalesce(round(percentile_cont(0.99) WITHIN GROUP (ORDER BY late)::numeric, 2), 0), count(*)
		FROM (SELECT extract(epoch FROM started_at - greatest(due_at, created_at)) * 1000 AS late
		      FROM tasks_ended WHERE finished_at > clock_timestamp() - interval '15 s') ended")" >>"$file"
done
