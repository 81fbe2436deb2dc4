# What the setup scripts share; to be sourced.

say() { printf '• %s\n' "$*" >&2; }

give_up() {
    printf '✗ %s\n' "$*" >&2
    exit 1
}

# Install Debian packages, or say what to type where we may not.
install_packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        give_up "missing on this machine: $*. Type: sudo apt-get install $*"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null || give_up "apt-get update failed: are Debian's packages in reach?"
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null || give_up "apt-get install $* failed"
}
