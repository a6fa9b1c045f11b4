#!/usr/bin/env bash
# A Docker engine of our own, with a one-node Swarm, for tests and the demo.
#
#   scripts/engine.sh run [--] CMD...     up in a temporary directory, run CMD beside it, down again, whatever happens
#   scripts/engine.sh up DIR              start it; when DIR holds a running one already, do nothing
#   scripts/engine.sh exec DIR CMD...     run CMD where the engine's ports are
#   scripts/engine.sh restart DIR [TERM|KILL]
#   scripts/engine.sh down DIR            stop it and remove DIR; nothing is left
#
# The engine lives in its own network, mount and process namespaces. Two engines on one host otherwise fight over
# docker_gwbridge, the firewall chains, the gossip port 7946 and the VXLAN ids, and a user's engine would be one of the
# two. It also makes "nothing is left" a property of the kernel: when the first process of the namespaces ends, so do
# its containers, mounts, interfaces and firewall rules. The price is that published ports are on the 127.0.0.1 of that
# network namespace, which is what `exec` and `run` enter. The socket DIR/docker.sock works from everywhere.
#
# CMD gets CI_WARM_TEST_ENGINE and DOCKER_HOST (unix://DIR/docker.sock).
set -euo pipefail

LIMIT=60 # seconds, for each thing that is waited for
readonly MARK=.ci-warm-engine

say() { printf 'engine: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usage() { sed -n '4,8s/^# *//p' "$0" >&2; exit 2; }

# wait_until WHAT CMD...: poll CMD until it succeeds.
wait_until() {
    local what=$1 end=$((SECONDS + LIMIT))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { say "gave up after ${LIMIT}s waiting for $what"; return 1; }
        sleep 0.1
    done
}

need_root() {
    [ "$(id -u)" = 0 ] || die "needs root (namespaces, dockerd): run it with sudo"
    local tool
    for tool in dockerd docker containerd runc iptables nsenter unshare ip tini; do
        command -v "$tool" >/dev/null || die "$tool is missing: run scripts/setup.sh"
    done
}

# The name that this engine's control groups carry; one per directory.
cgroup_of() { printf 'ci-warm-%s' "$(printf %s "$1" | cksum | cut -d' ' -f1)"; }

docker_at() { local dir=$1; shift; DOCKER_CONFIG=$dir/cli docker -H "unix://$dir/docker.sock" "$@"; }

# The first process of the engine's namespaces, as this host numbers it. Fails when there is none. The start time
# tells it from another process that got its number after a reboot.
init_of() {
    local pid start
    read -r pid start 2>/dev/null <"$1/init" || return 1
    [ "$(started "$pid")" = "$start" ] && printf '%s' "$pid"
}
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

inside() { local dir=$1; shift; nsenter --target "$(init_of "$dir")" --mount --net --pid -- "$@"; }

# --- up ---------------------------------------------------------------------------------------------------------------

# Runs as process 1 of the new namespaces.
prepare_namespaces() {
    local dir=$1
    ip link set lo up
    # Masks a user's containerd (dockerd would use it) and gives the shims their own /run/containerd.
    mount -t tmpfs run /run
    mount -t tmpfs etc-docker /etc/docker
    if [ -d /opt ]; then mount -t tmpfs opt /opt; fi
    mount_cgroups
    touch "$dir/prepared"
    exec tini -- sleep infinity </dev/null
}

# A machine without an init system that does it has no control groups mounted.
mount_cgroups() {
    local controller
    if [ -n "$(ls -A /sys/fs/cgroup)" ]; then return; fi
    mount -t tmpfs cgroup /sys/fs/cgroup
    for controller in $(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups); do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
    done
    if [ -n "$(ls -A /sys/fs/cgroup)" ]; then return; fi
    umount /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

start_namespaces() {
    local dir=$1 outer
    if [ ! -d /etc/docker ]; then mkdir /etc/docker && touch "$dir/made-etc-docker"; fi
    setsid unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
        "$BASH" "$0" prepare-namespaces "$dir" </dev/null >"$dir/init.log" 2>&1 &
    outer=$!
    wait_until "the namespaces (see $dir/init.log)" test -e "$dir/prepared" || return 1
    local pid
    pid=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null || ps -o pid= --ppid "$outer")
    pid=${pid//[[:space:]]/}
    printf '%s %s\n' "$pid" "$(started "$pid")" >"$dir/init"
}

# Debian's iptables speaks nftables; a kernel without it still has the older tables.
iptables_path() {
    local dir=$1 tool
    if inside "$dir" iptables -t nat -L -n >/dev/null 2>&1; then return; fi
    command -v iptables-legacy >/dev/null || { say "iptables does not work on this kernel"; return 1; }
    mkdir -p "$dir/bin"
    for tool in iptables ip6tables; do ln -sf "$(command -v $tool-legacy)" "$dir/bin/$tool"; done
    inside "$dir" env PATH="$dir/bin:$PATH" iptables -t nat -L -n >/dev/null || return 1
    printf '%s:' "$dir/bin"
}

start_dockerd() {
    local dir=$1 path
    path=$(iptables_path "$dir") || return 1
    echo '{}' >"$dir/daemon.json"
    PATH=$path$PATH setsid nsenter --target "$(init_of "$dir")" --mount --net --pid -- dockerd \
        --config-file "$dir/daemon.json" --data-root "$dir/data" --exec-root "$dir/exec" \
        --pidfile "$dir/dockerd.pid" --host "unix://$dir/docker.sock" \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$(cgroup_of "$dir")" \
        --shutdown-timeout 5 </dev/null >>"$dir/dockerd.log" 2>&1 &
    local starter=$!
    dockerd_answers_or_ended() { docker_at "$dir" version || ! kill -0 "$starter"; }
    wait_until "dockerd (see $dir/dockerd.log)" dockerd_answers_or_ended || return 1
    docker_at "$dir" version >/dev/null 2>&1 || { say "dockerd ended at once (see $dir/dockerd.log)"; return 1; }
}

swarm_active() { [ "$(docker_at "$1" info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}')" = "active true" ]; }
node_ready() { [ "$(docker_at "$1" node ls --format '{{.Status}} {{.Availability}}')" = "Ready Active" ]; }

up() {
    local dir
    need_root
    [ ! -e "$1" ] || [ -e "$1/$MARK" ] || [ -z "$(ls -A "$1")" ] || die "$1 is not empty and not an engine's"
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    # The longest socket below it is exec/containerd/containerd-debug.sock; a socket's path has 107 bytes.
    ((${#dir} <= 66)) || die "$dir is too long a path for sockets"
    case $dir in /run/* | /opt/* | /etc/docker/*) die "an engine cannot live below /run, /opt or /etc/docker" ;; esac
    if init_of "$dir" >/dev/null && swarm_active "$dir"; then say "already up in $dir"; return; fi
    touch "$dir/$MARK"
    rm -f "$dir/prepared" "$dir/dockerd.pid"
    mkdir -p "$dir/cli"
    if ! { start_namespaces "$dir" && start_dockerd "$dir" && init_swarm "$dir"; }; then
        tail -n 20 "$dir/init.log" "$dir/dockerd.log" >&2 || true
        down "$dir"
        die "could not start an engine in $dir"
    fi
    say "up: unix://$dir/docker.sock"
}

init_swarm() {
    local dir=$1
    if ! swarm_active "$dir"; then
        docker_at "$dir" swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377 \
            --default-addr-pool 10.201.0.0/16 >/dev/null || return 1
    fi
    wait_until "the Swarm's node" node_ready "$dir"
}

# --- down -------------------------------------------------------------------------------------------------------------

stop_dockerd() {
    local dir=$1 signal=${2:-TERM} pid
    pid=$(cat "$dir/dockerd.pid" 2>/dev/null) || return 0
    # The number is that of the engine's own process namespace, so it cannot be another program's.
    inside "$dir" kill "-$signal" "$pid" 2>/dev/null || return 0
    dockerd_gone() { ! inside "$dir" kill -0 "$pid"; }
    wait_until "dockerd to stop" dockerd_gone
    rm -f "$dir/dockerd.pid"
}

down() {
    local dir pid
    [ -e "$1" ] || return 0
    dir=$(cd "$1" && pwd -P)
    [ -e "$dir/$MARK" ] || die "$dir is not an engine's directory; nothing was removed"
    if pid=$(init_of "$dir"); then
        # Leaving stops the tasks in an orderly way; the kernel would end them a moment later in any case.
        timeout "$LIMIT" docker -H "unix://$dir/docker.sock" swarm leave --force >/dev/null 2>&1 || true
        stop_dockerd "$dir" || true
        # From inside first, as the engine may be the only one that sees them.
        inside "$dir" "$BASH" -c "$(declare -f rmdir_cgroups); rmdir_cgroups $(cgroup_of "$dir")" || true
        kill -KILL "$pid" 2>/dev/null || true
        init_gone() { ! init_of "$dir"; }
        wait_until "the namespaces to end" init_gone || return 1
    fi
    remove_cgroups "$dir"
    local made=no
    [ -e "$dir/made-etc-docker" ] && made=yes
    rm -rf --one-file-system "$dir"
    if [ "$made" = yes ]; then rmdir --ignore-fail-on-non-empty /etc/docker; fi
}

rmdir_cgroups() {
    find /sys/fs/cgroup -depth -type d \( -path "*/$1" -o -path "*/$1/*" \) -exec rmdir {} + 2>/dev/null
    [ -z "$(find /sys/fs/cgroup -type d -name "$1")" ]
}

remove_cgroups() {
    local name
    name=$(cgroup_of "$1")
    wait_until "control groups $name to empty" rmdir_cgroups "$name" || true
}

# --- the rest ---------------------------------------------------------------------------------------------------------

exec_beside() {
    local dir pid
    dir=$(cd "$1" && pwd -P)
    shift
    pid=$(init_of "$dir") || die "no engine is up in $dir"
    export CI_WARM_TEST_ENGINE=unix://$dir/docker.sock DOCKER_HOST=unix://$dir/docker.sock
    exec nsenter --net="/proc/$pid/ns/net" -- "$@"
}

run_beside() {
    need_root
    local status=0
    run_dir=$(mktemp -d "${TMPDIR:-/tmp}/ci-warm-engine.XXXXXX")
    run_group=
    trap end_run EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    up "$run_dir"
    # A process group of its own, so that what CMD started and did not end goes with it.
    set -m
    "$BASH" "$0" exec "$run_dir" "$@" &
    run_group=$!
    set +m
    wait "$run_group" || status=$?
    if ((status != 0)) && [ -n "${CI_WARM_ENGINE_LOG:-}" ]; then
        mkdir -p "$(dirname "$CI_WARM_ENGINE_LOG")"
        cp "$run_dir/dockerd.log" "$CI_WARM_ENGINE_LOG" && say "dockerd's log: $CI_WARM_ENGINE_LOG"
    fi
    exit "$status"
}

end_run() {
    # Whoever reads our output may have gone, which must not cut this short.
    trap '' PIPE INT TERM HUP
    if [ -n "$run_group" ]; then
        group_gone() { ! kill -0 -- "-$run_group"; }
        kill -TERM -- "-$run_group" 2>/dev/null || true
        LIMIT=5 wait_until "the command to end" group_gone || kill -KILL -- "-$run_group" 2>/dev/null || true
    fi
    down "$run_dir"
}

verb=${1:-}
shift || true
if [ "${1:-}" = -- ]; then shift; fi
case $verb in
    run) (($# > 0)) || usage; run_beside "$@" ;;
    up) (($# == 1)) || usage; up "$1" ;;
    exec) (($# > 1)) || usage; exec_beside "$@" ;;
    restart)
        (($# == 1 || $# == 2)) || usage
        dir=$(cd "$1" && pwd -P)
        init_of "$dir" >/dev/null || die "no engine is up in $dir"
        stop_dockerd "$dir" "${2:-TERM}"
        start_dockerd "$dir"
        wait_until "the Swarm's node" node_ready "$dir"
        ;;
    down) (($# == 1)) || usage; down "$1" ;;
    prepare-namespaces) prepare_namespaces "$1" ;;
    *) usage ;;
esac
