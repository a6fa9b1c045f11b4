#!/usr/bin/env bash
# Puts in place what `make test` needs and this machine lacks. Quick when nothing is missing.
#
#   scripts/setup.sh            everything
#   scripts/setup.sh engine     only what a Swarm and the tests on it need (Debian packages)
#   scripts/setup.sh lint       only cargo-deny
#   scripts/setup.sh mutants    only cargo-mutants (not part of "everything")
#
# Cargo tools go to $CARGO_TARGET_DIR/tools (target/tools), so `cargo clean` removes them and ~/.cargo stays as it was.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly CARGO_DENY=0.20.2 CARGO_MUTANTS=27.1.0
tools=${CARGO_TARGET_DIR:-target}/tools

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# What each package is here for, by a program that it brings.
packages() {
    cat <<'P'
dockerd docker.io
docker docker.io
docker-registry docker-registry
iptables iptables
ip iproute2
nsenter util-linux
tini tini
setfacl acl
setfattr attr
git git
curl curl
tar tar
ps procps
cc gcc
P
}

missing_packages() {
    local program package
    while read -r program package; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || printf '%s\n' "$package"
    done < <(packages) | sort -u
}

setup_engine() {
    local missing
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]})); then
        local list=${missing[*]}
        command -v apt-get >/dev/null || die "not a Debian system; install these by hand (Debian's names): $list"
        [ "$(id -u)" = 0 ] || die "as root: apt-get update && apt-get install --no-install-recommends $list"
        say "installing $list"
        install_packages "${missing[@]}"
        mapfile -t missing < <(missing_packages)
        ((${#missing[@]} == 0)) || die "still incomplete after installing it: ${missing[*]}"
    fi
    [ "$(id -u)" = 0 ] || die "the tests start an engine of their own and need root: run make with sudo"
}

# A package that starts a service on installation would leave a second engine and a registry on port 5000 running.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours=no
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        ours=yes
    fi
    local status=0
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 || status=$?
    if [ $ours = yes ]; then rm -f $policy; fi
    ((status == 0)) || die "apt-get could not install: $*"
}

# Unoptimised, since compiling these is most of their cost.
install_tool() {
    local name=$1 version=$2
    shift 2
    if [ "$("$tools/bin/$name" --version 2>/dev/null | cut -d' ' -f2)" = "$version" ]; then return; fi
    say "building $name $version (about a minute)"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_TARGET_DIR=$tools/build \
        cargo install --quiet --locked --root "$tools" --version "=$version" "$@" "$name" ||
        die "could not install $name $version: is the crates registry reachable?"
    rm -rf "$tools/build"
}

setup_lint() {
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 || die "cargo $component is missing: rustup component add rustfmt clippy"
    done
    # Its default features fetch advisories and talk to git hosts over the network; the checks here need neither.
    install_tool cargo-deny "$CARGO_DENY" --no-default-features
}

case ${1:-all} in
    all) setup_engine; setup_lint ;;
    engine) setup_engine ;;
    lint) setup_lint ;;
    mutants) install_tool cargo-mutants "$CARGO_MUTANTS" ;;
    *) die "no such part: $1 (engine, lint, mutants)" ;;
esac
