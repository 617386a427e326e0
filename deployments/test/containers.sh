#!/usr/bin/env bash
# Runs the compose project on a Docker engine, with two APIs behind the proxy, and
# checks what becomes of tasks when a worker is killed and Postgres is stopped for ten
# seconds: each runs once, none early, and none is worker_lost but the killed
# worker's. It has a project name and ports of its own, and removes what it made.
#
# Status 77 says that there is no engine to run it on. It needs Docker 25, Compose
# 2.24, Go, and the images that docker-compose.yml and the Dockerfile name.
set -euo pipefail
cd "$(dirname "$0")/../.."

docker info >/dev/null 2>&1 || { echo "no Docker engine answers"; exit 77; }
docker compose version >/dev/null 2>&1 || { echo "docker compose is not installed"; exit 77; }

export COMPOSE_PROJECT_NAME=timewheel-test TIMEWHEEL_VERSION=test
export TIMEWHEEL_PORT=18088 POSTGRES_PORT=15438 REDIS_PORT=16388
export POSTGRES_PASSWORD='p@ss/w#rd?1:%&+ ='
work=$(mktemp -d)
finish() {
	docker compose logs --no-color >"$work/logs" 2>&1 || true
	docker compose down --volumes >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap finish EXIT
query() { docker compose exec -T postgres psql -U timewheel -d timewheel -Atc "$1"; }

docker compose up --build --detach --wait --scale api=2
docker compose ps --all

go tool load -url "http://127.0.0.1:$TIMEWHEEL_PORT" -n 3000 -from -20s -to 50s -type foo,baz -wait 90s &
load=$!
sleep 10
victim=$(docker compose ps --quiet worker | head -n 1)
docker kill "$victim" >/dev/null
sleep 8
docker compose stop postgres
sleep 10
docker compose start postgres
status=0
wait "$load" || status=$?

echo "tasks by how they ended, and the worker if they were lost:"
query "SELECT t.status, coalesce(t.failure_code, ''), CASE WHEN t.failure_code = 'worker_lost' THEN split_part(w.host, '/', 1) END, count(*)
	FROM tasks t LEFT JOIN workers w ON w.id = t.worker_id GROUP BY 1, 2, 3"
others=$(query "SELECT count(*) FROM tasks t JOIN workers w ON w.id = t.worker_id
	WHERE t.failure_code = 'worker_lost' AND split_part(w.host, '/', 1) <> '${victim:0:12}'")
twice=$(docker compose logs --no-color worker | grep -o 'Foo [0-9a-f-]*' | sort | uniq -d | wc -l)
[[ $status == 0 ]] || { echo "FAILED: load found a broken promise"; exit 1; }
[[ $others == 0 ]] || { echo "FAILED: $others tasks of workers that live are worker_lost"; exit 1; }
[[ $twice == 0 ]] || { echo "FAILED: $twice tasks were printed twice"; exit 1; }
echo "containers: each task once, none lost, worker_lost only of the killed worker"
