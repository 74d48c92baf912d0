#!/usr/bin/env bash
# The one gate, the same on a desk and in CI: what passes here may land.
#
# Installs what is missing when run as root on a Debian machine, prepares a Python environment for the tests of
# client compatibility, then formatting, lints and tests. It starts no service and leaves none running.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

# The client that the compatibility test speaks through. The second is a need of the first on Python before 3.11.3.
python_packages=(
    'redis==8.1.0'
    'async-timeout==5.0.1; python_full_version < "3.11.3"'
)
python_home=$root/target/python
rust_version_min=1.88
# Rings and registered buffers are locked memory on some kernels; this much is enough for the tests' few shards.
memlock_kib_min=8192

# --------------------------------------------------------------------------------------------------------------
# Steps
# --------------------------------------------------------------------------------------------------------------

step_name='start'

step() {
    step_name=$1
    printf '\n== [%4d s] %s\n' "$SECONDS" "$step_name"
}

say() {
    printf 'ci.sh: %s\n' "$*"
}

fail() {
    printf 'ci.sh: %s\n' "$@" >&2
    exit 1
}

report_end() {
    local status=$?
    if ((status == 0)); then
        printf '\n== [%4d s] passed\n' "$SECONDS"
    else
        printf '\n== [%4d s] FAILED in step: %s (exit status %d)\n' "$SECONDS" "$step_name" "$status" >&2
    fi
}
trap report_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --------------------------------------------------------------------------------------------------------------
# System packages
# --------------------------------------------------------------------------------------------------------------

have() {
    command -v "$1" >/dev/null 2>&1
}

# Debian ships `python3 -m venv` without what it needs to work in a package of its own.
have_venv() {
    have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null
}

# A compiler without the C library's headers and start files compiles nothing; Debian only recommends them to it.
have_libc_headers() {
    have gcc && printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
        gcc -x c - -o /dev/null 2>/dev/null
}

missing_packages() {
    have gcc || echo gcc
    have_libc_headers || echo libc6-dev
    have make || echo make
    have git || echo git
    have pkg-config || echo pkg-config
    have python3 || echo python3
    have_venv || echo python3-venv
    have redis-server || echo redis-server
    { have redis-cli && have redis-benchmark; } || echo redis-tools
}

# Runs in a subshell of its own, so that its trap puts things back however it ends. The policy file tells Debian's
# package scripts to start nothing; where one exists already it is the machine's owner's and stays as it is.
install_packages() (
    local policy=/usr/sbin/policy-rc.d
    local policy_is_ours=no
    # shellcheck disable=SC2329,SC2317 # called by the trap
    restore() {
        if [[ $policy_is_ours == yes ]]; then
            rm -f "$policy"
        fi
    }
    trap restore EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [[ ! -e $policy && ! -L $policy ]]; then
        policy_is_ours=yes
        printf '#!/bin/sh\n# Written by scripts/ci.sh for the length of one installation.\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi

    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    apt-get update -qq </dev/null
    apt-get install -y -qq --no-install-recommends "$@" </dev/null

    # An owner's policy may have let the fresh package start its service, and a booted systemd would start it
    # again at the next boot. One that was there before this run is not among the arguments and is not touched.
    if [[ " $* " == *' redis-server '* ]]; then
        if have service && service redis-server status >/dev/null 2>&1; then
            service redis-server stop </dev/null
        fi
        if [[ -d /run/systemd/system ]] && have systemctl; then
            systemctl --quiet disable redis-server.service </dev/null || true
        fi
    fi
)

step 'programs'
mapfile -t missing < <(missing_packages)
if ((${#missing[@]} > 0)); then
    say "missing: ${missing[*]}"
    have apt-get || fail 'this is no Debian machine: install the programs of these packages by its own means'
    if ((EUID != 0)); then
        fail 'not root, so they cannot be installed here. Run this script as root once, or:' \
            "    sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
    install_packages "${missing[@]}"
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} == 0)) || fail "still missing after the installation: ${missing[*]}"
fi
gcc --version | head -n 1
redis-server --version

# --------------------------------------------------------------------------------------------------------------
# Rust
# --------------------------------------------------------------------------------------------------------------

step 'Rust toolchain'
if ! have cargo && [[ -x ${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo ]]; then
    PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH
fi
have cargo || fail "no cargo: install Rust $rust_version_min or later with rustup"
cargo --version
cargo fmt --version || fail 'no rustfmt: add it with: rustup component add rustfmt'
cargo clippy --version || fail 'no clippy: add it with: rustup component add clippy'

# --------------------------------------------------------------------------------------------------------------
# Python
# --------------------------------------------------------------------------------------------------------------

step 'Python environment for the client-compatibility test'
# The stamp holds what was installed and by which Python, so a change of either makes a fresh environment.
wanted=$(python3 --version && printf '%s\n' "${python_packages[@]}")
if [[ $(cat "$python_home/installed" 2>/dev/null) != "$wanted" ]] ||
    ! "$python_home/bin/python" -c 'import redis' 2>/dev/null; then
    rm -rf "$python_home"
    python3 -m venv "$python_home"
    "$python_home/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        "${python_packages[@]}" </dev/null
    printf '%s\n' "$wanted" >"$python_home/installed"
fi
"$python_home/bin/python" -c 'import platform, redis; print("Python", platform.python_version(), "redis", redis.__version__)'
export COREVAULT_TEST_PYTHON=$python_home/bin/python

# --------------------------------------------------------------------------------------------------------------
# Kernel
# --------------------------------------------------------------------------------------------------------------

step 'kernel and limits'
uname -sr
if [[ -r /proc/sys/kernel/io_uring_disabled ]] && (($(</proc/sys/kernel/io_uring_disabled) != 0)); then
    say 'warning: kernel.io_uring_disabled is not 0; the tests that start a server will be refused a ring'
fi
# Root may lift the hard limit; anyone may lift the soft one up to it.
ulimit -l unlimited 2>/dev/null || ulimit -S -l "$(ulimit -H -l)" 2>/dev/null || true
memlock_kib=$(ulimit -S -l)
say "locked memory: $memlock_kib KiB"
if [[ $memlock_kib != unlimited ]] && ((memlock_kib < memlock_kib_min)); then
    say "warning: less than $memlock_kib_min KiB of memory may be locked; if a ring is refused, raise" \
        'memlock in /etc/security/limits.conf or LimitMEMLOCK= in the unit'
fi

# --------------------------------------------------------------------------------------------------------------
# The gate
# --------------------------------------------------------------------------------------------------------------

step 'cargo fmt'
cargo fmt --all --check

step 'cargo clippy'
cargo clippy --workspace --all-targets --locked -- -D warnings

step 'cargo test'
# Comparisons with redis-server are skipped on a machine that lacks it; here a skip would hide a failure.
export COREVAULT_REQUIRE_REDIS=1
cargo test
