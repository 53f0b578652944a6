#!/usr/bin/env bash
# Installs what the tests need and runs them all: unit tests, and one integration binary that starts
# its own PostgreSQL, Prometheus and applications on free ports and in temporary folders.
# FULL=1 runs the long forms of the same tests (tests/full.sh sets it).
#
# A tool that cannot be had is named in a line "skipped: …"; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
    echo "skipped: $1"
    if [ "${CI:-}" = true ]; then exit 1; fi
}

have() { command -v "$1" >/dev/null 2>&1; }

have_postgresql() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

install_debian() {
    if ! have apt-get || [ "$(id -u)" != 0 ]; then return 1; fi
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # Debian's packages start their servers when they are installed; the tests start their own.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    rm -f /usr/sbin/policy-rc.d
}

missing=()
have_postgresql || missing+=(postgresql)
have prometheus && have promtool || missing+=(prometheus)
have python3 || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    install_debian "${missing[@]}" || echo "cannot install ${missing[*]} here"
fi
have_postgresql || skip "PostgreSQL (initdb, pg_ctl): every test on that database"
have promtool || skip "Prometheus (prometheus, promtool): the scrape and the checks of /metrics"

# The applications under real OpenTelemetry SDKs live in an environment of their own.
venv="$PWD/target/test-venv"
wanted="$(cat tests/apps/requirements.txt)"
if [ "$(cat "$venv/installed" 2>/dev/null || true)" != "$wanted" ]; then
    rm -rf "$venv"
    if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/apps/requirements.txt; then
        printf '%s' "$wanted" >"$venv/installed"
    else
        rm -rf "$venv"
        skip "the Python packages of tests/apps/requirements.txt: the Flask application"
    fi
fi
export REDSPAN_TEST_PYTHON="$venv/bin/python"

cargo build --release
# The fault tests kill the program that users run, not a debug build of it.
export REDSPAN_BIN="$PWD/target/release/redspan"
cargo test
