#!/usr/bin/env bash
# The long forms of the tests: 500 kills, tens of thousands of generated traces, and the applications
# that take long to build and to start.
set -euo pipefail
export FULL=1 PROPTEST_CASES="${PROPTEST_CASES:-20000}"
exec bash "$(dirname "${BASH_SOURCE[0]}")/run.sh"
