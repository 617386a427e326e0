#!/usr/bin/env bash
# A Docker engine of its own, for a Debian machine without one and without a registry.
# It lives in namespaces of its own, so it sees no network and its ports, mounts and
# firewall rules are nobody else's: they go when its first process ends. Run as root.
#
#	engine.sh start       make it if need be, start it, and make the images
#	engine.sh run CMD...  a command in its network, with docker on the PATH
#	engine.sh stop        end it; keeps the Debian trees, for the next start
#
# Status 77 says that no engine can run here. All that is made lies in
# .timewheel/containers of the checkout, some 3 GB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
work=$repo/.timewheel/containers

# Docker 26 and Compose 2.26, little more than what docker-compose.yml asks for.
engine_suite=trixie
engine_packages=(docker.io docker-cli docker-buildx docker-compose iptables iproute2 tini)
# The first Debian with PostgreSQL 18.
images_suite=forky
images_packages=(postgresql-18 redis-server haproxy ca-certificates)

cannot() {
	echo "no Docker engine can run here: $1"
	exit 77
}

# tree NAME SUITE PACKAGE... is a Debian with these packages, in $work/NAME, by the
# mirror and the settings of this machine's apt.
tree() {
	local name=$1 suite=$2 root=$work/$1.new mirror script
	shift 2
	[[ ! -d $work/$name ]] || return 0
	rm -rf "$root"
	mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' |
		awk -v here="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$2 == here { print $1; exit }')
	script=/usr/share/debootstrap/scripts/$suite
	[[ -e $script ]] || script=/usr/share/debootstrap/scripts/sid
	debootstrap --variant=minbase "$suite" "$root" "$mirror" "$script"
	apt-config dump | grep '^Acquire::' >"$root/etc/apt/apt.conf.d/90machine" || true
	printf '%s\n' force-unsafe-io 'path-exclude /usr/share/doc/*' 'path-exclude /usr/share/man/*' >"$root/etc/dpkg/dpkg.cfg.d/lean"
	# No server is started, and no database made, by its package.
	printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$root/usr/sbin/policy-rc.d"
	install -D -m 644 /dev/stdin "$root/etc/postgresql-common/createcluster.conf" <<<'create_main_cluster = false'
	# Its own mounts, which end with it.
	unshare --mount chroot "$root" sh -euc '
		mount -t proc proc /proc
		export DEBIAN_FRONTEND=noninteractive
		apt-get -qq update
		apt-get -qq install --no-install-recommends "$@" >/dev/null
		rm -rf /var/cache/apt/* /var/lib/apt/lists/*' sh "$@"
	mv "$root" "$work/$name"
}

start() {
	[[ $(id -u) == 0 ]] || cannot "it takes root"
	type -P apt-get >/dev/null || cannot "this is not Debian"
	unshare --mount --net --pid --fork true || cannot "the kernel makes no namespaces"
	type -P debootstrap >/dev/null || { apt-get -qq update && apt-get -qq install --no-install-recommends debootstrap; } >/dev/null || cannot "debootstrap is not there"
	mkdir -p "$work"
	! running || stop
	(tree engine "$engine_suite" "${engine_packages[@]}" && tree images "$images_suite" "${images_packages[@]}") >"$work/trees.log" 2>&1 ||
		cannot "$(tail -n 3 "$work/trees.log")"

	mkdir -p "$work/data" "$work/bin" "$work/engine/old"
	rm -f "$work/pid"
	setsid unshare --mount --net --pid --fork --kill-child bash -euc '
		work=$1 repo=$2
		# The shell'\''s own id, as those outside know it.
		read -r pid _ </proc/self/stat
		mount --bind "$work/engine" "$work/engine"
		cd "$work/engine"
		mount -t proc proc proc
		mount -t sysfs sysfs sys
		mount --rbind /sys/fs/cgroup sys/fs/cgroup
		mount --rbind /dev dev
		mount -t tmpfs tmpfs run
		mount -t tmpfs tmpfs tmp
		# The checkout may lie in one of those.
		mkdir -p ".$repo"
		mount --bind "$repo" ".$repo"
		pivot_root . old
		umount -l /old
		cd /
		ip link set lo up
		echo "$pid" >"$work/pid"
		exec tini -- dockerd --data-root "$work/data" --cgroup-parent timewheel-test
	' bash "$work" "$repo" >"$work/engine.log" 2>&1 </dev/null &

	install -m 755 /dev/stdin "$work/bin/docker" <<-SH
		#!/bin/sh
		exec nsenter --target "\$(cat '$work/pid')" --mount --net --pid --wdns="\$PWD" /usr/bin/docker "\$@"
	SH
	local try
	for try in {1..100}; do
		! "$work/bin/docker" version >/dev/null 2>&1 || break
		running || ((try < 10)) || break
		sleep 0.3
	done
	"$work/bin/docker" version --format 'Docker {{.Server.Version}}' 2>/dev/null ||
		{ stop; cannot "$(tail -n 3 "$work/engine.log")"; }
	"$work/bin/docker" compose version
	images
}

# images are stand-ins for those that the project takes from a registry: the same
# servers and the same Go, from Debian and from this machine.
images() {
	local docker=$work/bin/docker name
	"$docker" image inspect timewheel-standin >/dev/null 2>&1 ||
		tar -C "$work/images" --numeric-owner --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -c . |
		"$docker" import - timewheel-standin >/dev/null
	# The modules that the build downloads, laid out as a module proxy does.
	rm -rf "$work/context" && mkdir -p "$work/context"
	cp "$here"/images/* "$work/context/"
	cp -a "$(go env GOROOT)" "$work/context/go"
	cp /etc/ssl/certs/ca-certificates.crt "$work/context/"
	modules
	for name in postgres:18 redis:8 haproxy:3.2 golang:1.26; do
		"$docker" build --quiet --target "${name%:*}" --tag "$name" "$work/context"
	done
	rm -rf "$work/context"
}
modules() {
	local cache module version file
	cache=$(go env GOMODCACHE)/cache/download
	(cd "$repo" && go mod download)
	while read -r module version _; do
		for file in info mod zip; do
			file="$module/@v/${version%/go.mod}.$file"
			[[ ! -e $cache/$file ]] || echo "$file"
		done
	done < <(sed 's/[A-Z]/!\l&/g' "$repo/go.sum") | sort -u >"$work/modules"
	mkdir "$work/context/modules"
	tar -C "$cache" -c -T "$work/modules" | tar -C "$work/context/modules" -x
}

running() { [[ -f $work/pid && -e /proc/$(cat "$work/pid")/ns/net ]] && [[ $(readlink "/proc/$(cat "$work/pid")/root") == / ]]; }

stop() {
	local pid try
	if running; then
		pid=$(cat "$work/pid")
		kill "$pid"
		for try in {1..100}; do
			[[ -e /proc/$pid ]] || break
			((try < 100)) || kill -9 "$pid"
			sleep 0.2
		done
	fi
	rm -rf "$work/pid" "$work/data" "$work/bin"
	find /sys/fs/cgroup -depth -type d -path '*/timewheel-test*' -exec rmdir {} + 2>/dev/null || true
}

case ${1:-} in
start) start ;;
stop) stop ;;
run)
	shift
	PATH=$work/bin:$PATH exec nsenter --target "$(cat "$work/pid")" --net "$@"
	;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
