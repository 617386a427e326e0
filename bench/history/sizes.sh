#!/usr/bin/env bash
# Compares two databases whose histories differ in size, in turns: sizes.sh ROUNDS URL URL, with
# bin/ built, fill.sql run on both and REDIS_URL naming an empty store. Each line has: the database;
# ms of each question to the API, median and 99th percentile of 500; tasks executed a second
# in due and in random order of ids, 50,000 due at once and one worker; the time that one
# round of retention took in ms, and the longest start and end that fell into it.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=$1
shift
tasks=50000
export LISTEN_ADDR=127.0.0.1:18090 TASK_RETENTION=240h # nothing is dropped but by hand
sql() { psql -qAtX -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "$1"; }
api=
worker=
trap 'kill $api $worker 2>/dev/null || true' EXIT
# ask NAME FILE: puts the questions of a file over one connection, the first 50 to warm up
ask() {
	curl -s -o /dev/null --config <(awk -v at="http://$LISTEN_ADDR" '{ print (NR > 1 ? "next\n" : "") "url = \"" at $0 "\"\noutput = /dev/null\nwrite-out = \"%{time_total}\\n\"" }' "$2") |
		tail -n +51 | sort -n | awk -v name="$1" '{ t[NR] = $1 } END { printf " %s=%.2f/%.2f", name, t[int((NR + 1) / 2)] * 1000, t[int(NR * 0.99)] * 1000 }'
}
# submit N ORDER SPAN: tasks that fall due from in 12 s on, within a span in seconds
submit() {
	redis-cli -u "$REDIS_URL" flushdb >/dev/null
	sql "DELETE FROM tasks_open" && sql "VACUUM ANALYZE tasks_open" && sql CHECKPOINT
	begun=$(sql "SELECT clock_timestamp()")
	sql "INSERT INTO tasks_open (id, task_type, execution_time, due_at, payload)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + i / 50), 12, '0') || '7' || substr(word, 1, 3) || '8' || substr(word, 4, 15))::uuid, 'baz', at, at, '{}'
		FROM generate_series(1, $1) i CROSS JOIN md5(i::text) word CROSS JOIN LATERAL
			(SELECT now() + interval '12 s' + CASE '$2' WHEN 'due' THEN i ELSE i * 7919::bigint % $1 END * interval '1 s' * $3 / $1) due (at)"
	LISTEN_ADDR=127.0.0.1:18091 bin/worker >/dev/null 2>&1 &
	worker=$!
}
# settle: waits until all have ended
settle() {
	for _ in {1..600}; do
		[[ $(sql "SELECT EXISTS (SELECT FROM tasks_open)") == t ]] || break
		sleep 0.2
	done
	kill $worker && wait $worker || true
}
for _ in $(seq "$rounds"); do
	for DATABASE_URL in "$@"; do
		export DATABASE_URL
		printf '%s' "$(sql "SELECT current_database() || ' bytes=' || sum(pg_total_relation_size(oid)) FROM history_parts")"
		export WORKER_CONCURRENCY=4000
		for order in due random; do
			submit 50000 $order 0.05
			settle
			printf ' %s_tasks_s=%s' $order "$(sql "SELECT round(count(*) / extract(epoch FROM max(finished_at) - min(started_at)))
				FROM tasks_ended WHERE finished_at > '$begun'")"
		done

		bin/api >/dev/null 2>&1 &
		api=$!
		until curl -sf -o /dev/null "http://$LISTEN_ADDR/readyz"; do sleep 0.1; done
		sql "SELECT id, rtrim(translate(encode('\x01' || uuid_send(id), 'base64'), '+/', '-_'), '=')
			FROM history_parts p, LATERAL (SELECT id FROM tasks_ended e WHERE e.finished_at >= p.lower AND e.finished_at < p.upper LIMIT 80) few" |
			shuf --random-source=bin/api >ids
		awk -F'|' 'NR <= 550 { print "/task/" $1 }' ids >get
		# From the newest and from some place in the history, in turns.
		for filter in '' status=done status=failed status=deleted type=foo 'status=failed&type=bar' 'status=done&type=baz'; do
			awk -F'|' -v filter="$filter" 'NR <= 550 { print "/task?limit=50&" filter (NR % 2 ? "" : "&cursor=" $2) }' ids >"list_$filter"
		done
		for file in get list_*; do ask "$file" "./$file"; done
		kill $api && wait $api || true

		submit 10000 due 10
		sleep 17
		drop=$(sql "SELECT clock_timestamp()")
		at=$(date +%s%N)
		sql "SELECT drop_history(clock_timestamp() - (SELECT min(upper) FROM history_parts))" >/dev/null
		printf ' drop_ms=%s' $((($(date +%s%N) - at) / 1000000))
		settle
		sql "SELECT ' start_late=' || round(max(extract(epoch FROM started_at - due_at)) * 1000) || ' end=' || round(max(extract(epoch FROM finished_at - started_at)) * 1000)
			FROM tasks_ended WHERE finished_at > '$drop' AND due_at BETWEEN '$drop'::timestamptz - interval '1 s' AND '$drop'::timestamptz + interval '2 s'"
		rm -f ids get list_*
	done
done
