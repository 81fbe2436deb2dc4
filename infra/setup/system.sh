#!/usr/bin/env bash
# Install what only the tests need from the system: a browser that opens the map preview, PostgreSQL with PostGIS as a source, npm, which
# fetches the national divisions, and a font in which pictures draw Chinese.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=infra/setup/common.sh
. infra/setup/common.sh

missing=()
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || missing+=(chromium)
[ -e /usr/share/postgresql/15/extension/postgis.control ] || missing+=(postgresql-15 postgresql-15-postgis-3)
fc-list :lang=zh 2>/dev/null | grep -q . || missing+=(fonts-wqy-zenhei fontconfig)
[ ${#missing[@]} = 0 ] && exit 0
say "installing for the tests: ${missing[*]}"
if ! id postgres >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then # the tests make clusters of their own
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
install_packages "${missing[@]}"
