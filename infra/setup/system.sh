#!/usr/bin/env bash
# Install what only the tests need from the system: a browser that opens the map preview.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=infra/setup/common.sh
. infra/setup/common.sh

command -v chromium >/dev/null && exit 0
say "installing chromium for the tests of the map preview"
install_packages chromium
