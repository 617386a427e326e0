#!/usr/bin/env bash
# Runs the compose project on a Docker engine: scales the APIs, stops one of them,
# kills a worker and stops Postgres for ten seconds while tasks are created and run, and
# checks that each ran once, none early, that no client was refused, and that none is
# worker_lost but the killed worker's. Then the passwords come from files. It has a
# project name and ports of its own, and removes what it made.
#
# It needs Docker 25, Compose 2.24 and Go, and the images that docker-compose.yml and
# the Dockerfile name. Where they are not to be had, engine.sh makes an engine with
# stand-ins. Status 77 says that neither is possible.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

# usable: an engine answers, and has the images or can get them.
usable() {
	local image
	docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 || return 1
	for image in postgres:18 redis:8 haproxy:3.2 golang:1.26; do
		docker image inspect "$image" >/dev/null 2>&1 || timeout 120 docker pull --quiet "$image" || return 1
	done
}
if [[ ${1:-} != --here ]] && ! usable; then
	trap '"$here/engine.sh" stop' EXIT
	"$here/engine.sh" start
	"$here/engine.sh" run "$here/containers.sh" --here
	exit
fi

export COMPOSE_PROJECT_NAME=timewheel-test TIMEWHEEL_VERSION=test TIMEWHEEL_REVISION=0123abc
export TIMEWHEEL_PORT=18088 POSTGRES_PORT=15438 REDIS_PORT=16388
export POSTGRES_PASSWORD='p@ss/w#rd?1:%&+ ="\x' REDIS_PASSWORD='r$d/s#?1:%&+ =\'
export BUILDX_GIT_INFO=false
unset COMPOSE_FILE
# Here, since an engine of engine.sh sees nothing but the checkout.
mkdir -p .timewheel
work=$(mktemp -d "$PWD/.timewheel/test.XXXXXX")
compose() { docker compose --progress quiet "$@"; }
finish() {
	compose down --volumes --timeout 1 >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap finish EXIT
fail() {
	echo "FAILED: $*"
	compose ps --all || true
	compose logs --no-color --tail 30 api proxy postgres || true
	compose logs --no-color worker 2>/dev/null | grep -E '"level":"(WARN|ERROR)"' | tail -n 30 || true
	exit 1
}
step() { printf -- '--- %s (%ds)\n' "$*" "$SECONDS"; }
query() { compose exec -T postgres psql -XqAt -U timewheel -d timewheel -c "$1"; }
# zero WHAT QUERY
zero() {
	local found
	found=$(query "$2")
	[[ $found == 0 ]] || fail "$found $1"
}
load() { "$work/load-client" -url "http://127.0.0.1:$TIMEWHEEL_PORT" "$@"; }

step "docker compose up: one API, ten workers"
compose up --build --detach --wait || fail "it does not come up"
[[ $(compose ps --quiet api | wc -l) == 1 && $(compose ps --quiet worker | wc -l) == 10 ]] || fail "there are other numbers of them"
docker run --rm timewheel/api:test --version | grep -F 'test (0123abc' || fail "the image does not say its version"

step "tasks, while APIs come and go"
go build -o "$work/load-client" ./services/load
load -n 3000 -from -20s -to 60s -type foo,baz -wait 2m >"$work/load" 2>&1 &
load=$!
compose up --detach --wait --no-deps --scale api=2 api
load -n 1500 -clients 2 -from 0s -to 20s -type baz -wait 2m >"$work/scaled" 2>&1 &
scaled=$!
docker stop "$(compose ps --quiet api | head -n 1)" >/dev/null

step "a worker is killed"
victim=$(query "SELECT host FROM workers w JOIN tasks t ON t.worker_id = w.id
	WHERE t.status = 'started_executing' AND w.dead_at IS NULL LIMIT 1")
victim=${victim%%/*}
docker kill "$victim" >/dev/null

step "Postgres is stopped for ten seconds"
wait "$scaled" || { cat "$work/scaled"; fail "a promise is broken"; }
grep -q 'created  *1500 of 1500' "$work/scaled" || { cat "$work/scaled"; fail "creates were refused while an API was stopped"; }
compose stop postgres
sleep 10
compose start postgres
wait "$load" || { cat "$work/load"; fail "a promise is broken"; }
sed '/^follow:/d; /^submit:/d' "$work/load"

step "what became of them"
query "SELECT status, failure_code, count(*) FROM tasks GROUP BY 1, 2"
zero "tasks have not ended" "SELECT count(*) FROM tasks WHERE status NOT IN ('done', 'failed')"
zero "tasks started early" "SELECT count(*) FROM tasks WHERE started_at < due_at"
zero "tasks started more than once" "SELECT count(*) FROM tasks WHERE attempt > 1"
zero "tasks failed, not with the killed worker" "SELECT count(*) FROM tasks t LEFT JOIN workers w ON w.id = t.worker_id
	WHERE t.status = 'failed' AND NOT (t.failure_code = 'worker_lost' AND w.host LIKE '$victim%')"
compose logs --no-log-prefix --no-color >"$work/logs"
grep -oE 'Foo [0-9a-f-]{36}' "$work/logs" | sort >"$work/printed"
[[ -z $(uniq -d "$work/printed") ]] || fail "$(uniq -d "$work/printed" | wc -l) tasks were printed twice"
query "SELECT 'Foo ' || id FROM tasks WHERE task_type = 'foo' AND status = 'done'" | sort >"$work/done"
[[ -s $work/done && -z $(comm -23 "$work/done" "$work/printed") ]] || fail "tasks are done and were not printed"
! grep -F -e "$POSTGRES_PASSWORD" -e "$REDIS_PASSWORD" "$work/logs" || fail "a password is in the logs"
compose down --volumes

step "passwords from files"
mkdir "$work/secrets"
echo "$POSTGRES_PASSWORD" >"$work/secrets/postgres-password"
echo "$REDIS_PASSWORD" >"$work/secrets/redis-password"
export SECRETS_DIR=$work/secrets COMPOSE_FILE=docker-compose.yml:deployments/secrets.yml
POSTGRES_PASSWORD='' REDIS_PASSWORD='' compose up --detach --wait || fail "it does not come up"
load -n 100 -from -1s -to 1s -type baz | grep -q '100 done' || fail "tasks do not run"
! compose ps --quiet | xargs docker inspect | grep -F -e 'p@ss' -e 'r$d' || fail "a container's description holds a password"
compose down --volumes
[[ -z $(docker ps --all --quiet --filter label=com.docker.compose.project=timewheel-test) ]] || fail "containers are left"
step "passed"
