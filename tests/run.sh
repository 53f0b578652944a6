#!/usr/bin/env bash
# Installs what the tests need and runs them all: unit tests, and one integration binary that starts
# its own PostgreSQL, Prometheus and applications on free ports and in temporary folders.
# FULL=1 runs the long forms of the same tests, and those that are ignored otherwise (tests/full.sh
# sets it).
#
# Without PostgreSQL, curl or script nothing runs. Another tool that cannot be had is named in a line
# "skipped: …"; with CI=true or FULL=1 that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
    echo "skipped: $1"
    if [ "${CI:-}" = true ] || [ -n "${FULL:-}" ]; then exit 1; fi
}

lacking() {
    echo "the tests need $1: install it, or run this as root on Debian or Ubuntu"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

have_postgresql() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

install_debian() {
    if ! have apt-get || [ "$(id -u)" != 0 ]; then return 1; fi
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # Debian's packages start their servers when they are installed; the tests start their own.
    # A policy that is there already (containers have one) stays.
    local policy=/usr/sbin/policy-rc.d ours=no installed=0
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || installed=$?
    if [ "$ours" = yes ]; then rm -f "$policy"; fi
    return "$installed"
}

missing=()
have_postgresql || missing+=(postgresql)
have prometheus && have promtool || missing+=(prometheus)
have python3 || missing+=(python3 python3-venv)
have node && have npm || missing+=(nodejs npm)
have chromium || missing+=(chromium)
have curl || missing+=(curl)
have script || missing+=(bsdutils)
have nginx || missing+=(nginx)
if [ -n "${FULL:-}" ]; then
    have javac && have mvn || missing+=(default-jdk-headless maven)
fi
if [ ${#missing[@]} -gt 0 ]; then
    install_debian "${missing[@]}" || echo "cannot install ${missing[*]} here"
fi
have_postgresql || lacking "PostgreSQL (initdb, pg_ctl)"
have curl || lacking curl
have script || lacking "script (util-linux)"
have promtool || skip "Prometheus (prometheus, promtool): the scrape and the checks of /metrics"
have nginx || skip "nginx: the site that passes on what its pages send"

# The applications under real OpenTelemetry SDKs live in an environment of their own.
venv="$PWD/target/test-venv"
wanted="$(cat tests/apps/requirements.txt)"
if [ "$(cat "$venv/installed" 2>/dev/null || true)" != "$wanted" ]; then
    rm -rf "$venv"
    if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/apps/requirements.txt; then
        printf '%s' "$wanted" >"$venv/installed"
    else
        rm -rf "$venv"
        skip "the Python packages of tests/apps/requirements.txt: the Flask application, the fuzz of the API"
    fi
fi
export REDSPAN_TEST_PYTHON="$venv/bin/python"

# The packages of a folder of tests/apps. Its own copy of the lock file says what is installed; nothing
# of npm's is written beside the tests.
install_packages() {
    local packages="$PWD/target/test-$1"
    if cmp -s "tests/apps/$1/package-lock.json" "$packages/package-lock.json" && [ -e "$packages/installed" ]; then
        return
    fi
    rm -rf "$packages"
    mkdir -p "$packages"
    cp "tests/apps/$1/package.json" "tests/apps/$1/package-lock.json" "$packages"
    if (cd "$packages" && npm ci --ignore-scripts --no-audit --no-fund --silent); then
        touch "$packages/installed"
    else
        rm -rf "$packages"
        skip "Node 18.19 or newer and the packages of tests/apps/$1: $2"
    fi
}

install_packages node "the Express application"
export REDSPAN_TEST_NODE_MODULES="$PWD/target/test-node/node_modules"
install_packages browser "the page in a browser"
export REDSPAN_TEST_BROWSER_MODULES="$PWD/target/test-browser/node_modules"

if [ -n "${FULL:-}" ]; then
    # Distributions have older ones than the packages of tests/apps/go ask for.
    have go || skip "Go 1.26 or newer: the application in Go, the Collector"
    jars="$PWD/target/test-jars"
    if ! cmp -s tests/apps/java/pom.xml "$jars/pom.xml"; then
        rm -rf "$jars"
        if mvn --quiet --batch-mode --file tests/apps/java/pom.xml dependency:copy-dependencies \
            -DoutputDirectory="$jars" -Dmdep.stripVersion=true; then
            cp tests/apps/java/pom.xml "$jars"
        else
            rm -rf "$jars"
            skip "Maven and the packages of tests/apps/java: the applications in Java"
        fi
    fi
    export REDSPAN_TEST_JARS="$jars"
fi

# What each application under a real SDK adds itself to when all that is stored of it is right.
export REDSPAN_TEST_APPS="$PWD/target/test-apps"
: >"$REDSPAN_TEST_APPS"

cargo build --release
# The fault tests kill the program that users run, not a debug build of it.
export REDSPAN_BIN="$PWD/target/release/redspan"
cargo test -- ${FULL:+--include-ignored}

echo "applications of which all that is stored was right:"
sort -u "$REDSPAN_TEST_APPS"
