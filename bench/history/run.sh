#!/usr/bin/env bash
# Compares shapes of the table of tasks: run.sh ROWS SECONDS SHAPE..., on the database that
# DATABASE_URL names, which it fills and empties. docs/adr/0013 has what it found.
set -euo pipefail
cd "$(dirname "$0")"
rows=$1 seconds=$2
shift 2
export PGOPTIONS='-c search_path=shape,public -c client_min_messages=warning -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c cpu_tuple_cost=10 -c jit=off -c plan_cache_mode=force_generic_plan'
sql() { psql -qAtX -v ON_ERROR_STOP=1 "$DATABASE_URL" "$@"; }
# average NAME FILE: the average of one statement in ms, as pgbench reports it
average() { awk -v name="$1" 'index($0, name) { print $1; exit }' "$2"; }

for shape in "$@"; do
	sql -f common.sql
	[[ $shape != [ab] ]] || sql -v rows="$rows" -f open_table.sql
	sql -v rows="$rows" -f "shape_$shape.sql"
	[[ $shape != [bcdf] ]] || sql -f update_end.sql
	[[ $shape == [cdf] ]] && state=outcome || state=status
	sql -v state="$state" -f statements.sql
	sql -c 'VACUUM ANALYZE'
	size=$(sql -c "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'shape'::regnamespace AND relkind = 'r' AND relname <> 'known'")

	pgbench -n -f work.sql -c 4 -j 2 -T 5 "$DATABASE_URL" >/dev/null 2>&1
	sql -c CHECKPOINT
	before=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
	mover=
	if [[ $shape == b ]]; then
		while :; do sql -c 'SELECT shape.move()' >/dev/null; done &
		mover=$!
	fi
	pgbench -n -f work.sql -c 4 -j 2 -T "$seconds" -r "$DATABASE_URL" >work.out 2>&1
	tasks=$(awk '/number of transactions actually processed/ { print $NF * 500 }' work.out)
	wal=$(sql -c "SELECT round(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$before') / $tasks)")
	[[ -z $mover ]] || { kill "$mover"; wait "$mover" 2>/dev/null || true; }
	pgbench -n -f reads.sql -c 1 -t 1000 -r "$DATABASE_URL" >reads.out 2>&1

	# One round of retention beside the work, and the longest batch meanwhile.
	rm -f stall.*
	pgbench -n -f work.sql -c 4 -j 2 -T 8 -l --log-prefix=stall "$DATABASE_URL" >/dev/null 2>&1 &
	work=$!
	sleep 3
	start=$(date +%s%N)
	sql -c "SELECT shape.retain(now() - interval '6 days 12 hours')" >/dev/null && dropped=ok || dropped=refused
	took=$((($(date +%s%N) - start) / 1000000))
	wait "$work"
	usual=$(cat stall.* | sort -n -k3 | awk '{ t[NR] = $3 } END { print t[int(NR / 2)] / 1000 }')
	longest=$(cat stall.* | awk '$3 > m { m = $3 } END { print m / 1000 }')
	echo "$shape rows=$rows bytes_a_row=$((size / rows)) tasks_s=$((tasks / seconds)) wal_a_task=$wal" \
		"t1=$(average t1 work.out) t2=$(average t2 work.out) t3=$(average t3 work.out)" \
		"get=$(average get reads.out) list_status=$(average 'list_status()' reads.out) list_type=$(average 'list_type()' reads.out)" \
		"list_status_type=$(average 'list_status_type' reads.out) retention_ms=$took($dropped) batch_ms=$usual longest=$longest"
	rm -f work.out reads.out stall.*
done
sql -c 'DROP SCHEMA shape CASCADE'
