#!/usr/bin/env bash
# Make .venv exactly as requirements.lock says, see that Java 17 is there, and put the jars in their cache. Quick when nothing changed.
#   setup.sh [JAR_GROUP…]     default: the groups that the lake needs
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=infra/setup/common.sh
. infra/setup/common.sh

wanted_python=3.11
stamp=.venv/.sanyu-setup
state=$(cat requirements.lock pyproject.toml infra/setup/setup.sh | sha256sum | cut -d' ' -f1)

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" "python$wanted_python" python3; do
        if [ -n "$candidate" ] && "$candidate" -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# What else stands in .venv is removed by the sync; a half-made one is begun anew, because pip mends pyspark's shared folder wrongly.
make_environment() {
    local python uv_pin
    python=$(find_python) || { install_packages "python$wanted_python" "python$wanted_python-venv"; python=$(find_python); } ||
        give_up "Python $wanted_python was not found. Install it, or name it: make setup PYTHON=/path/to/python$wanted_python"
    say "making .venv with $python"
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        install_packages "python$wanted_python-venv"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    uv_pin=$(mktemp)
    trap 'rm -f "$uv_pin"' RETURN
    awk '/^uv==/ {on = 1; print; next} /^[^ ]/ {on = 0} on && /--hash/ {print}' requirements.lock | sed '$ s/ \\$//' >"$uv_pin"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$uv_pin"
    say "installing $(grep -c '==' requirements.lock) packages from requirements.lock (1.9 GB; some minutes on the first machine)"
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then # a city's network often has a certificate authority of its own
        export UV_SYSTEM_CERTS=true
    fi
    # Compiled once here, not by each of the many processes of Airflow and Spark where Python may not write bytecode.
    .venv/bin/uv pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes requirements.lock
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
    echo "$state" >"$stamp"
}

java_ok() { "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | grep -q 'version "17\.'; }

if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    make_environment
fi
if ! java_ok; then
    say "installing Java 17"
    install_packages openjdk-17-jre-headless
    java_ok || give_up "Java 17 is installed, but another Java comes first: set JAVA_HOME to it"
fi
.venv/bin/python infra/setup/jars.py "$@"
.venv/bin/python -m sanyu.address.national ||
    say "going on without the national divisions: addresses are read by the divisions of their own gazetteer only"
exec .venv/bin/sanyu doctor
