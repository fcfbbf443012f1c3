#!/usr/bin/env bash
# The tools that demo, tests and checks need on this machine.
#
#   tests/testbed/tools.sh check     says in one line what is missing, and fails then
#   tests/testbed/tools.sh install   installs what is missing, where apt is there
#   tests/testbed/tools.sh path      prints the folders of tools that are installed outside of PATH, as PATH has them
set -euo pipefail
cd "$(dirname "$0")/../.."

has() { command -v "$1" >/dev/null 2>&1; }

# Whether version $1 is $2 or newer.
reaches() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# The version of Go that the real servers need, and the oldest Rust, as the project says.
go_needed=$(sed -n 's/^go //p' tests/testbed/*/go.mod tests/testbed/*/*/go.mod | sort -V | tail -n 1)
rust_needed=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
cargo_bin="${CARGO_HOME:-$HOME/.cargo}/bin"

# Programs of packages that are unpacked and not installed, in the cache folder of the testbed.
unpacked="${TESTBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/oidc-operator-testbed}/packages"

go_version() { GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed 's/^go//'; }

# Where `go` keeps another version of itself that it has fetched.
fetched_go() {
    local modules
    modules=$(go env GOMODCACHE)
    ls -d "$modules/golang.org/toolchain@v0.0.1-go$go_needed."*/bin 2>/dev/null | head -n 1
}

path() {
    local folders=()
    has cargo || [ ! -x "$cargo_bin/cargo" ] || folders+=("$cargo_bin")
    if has go && ! reaches "$(go_version go)" "$go_needed"; then
        local fetched
        fetched=$(fetched_go)
        [ -z "$fetched" ] || folders+=("$fetched")
    fi
    has promtool || [ ! -x "$unpacked/usr/bin/promtool" ] || folders+=("$unpacked/usr/bin")
    local IFS=:
    echo "${folders[*]}"
}

# Packages of Debian and Ubuntu.
packages() {
    has cc || echo gcc libc6-dev
    has setpriv || echo util-linux
    has go || echo golang-go
    python3 -m pip --version >/dev/null 2>&1 || echo python3 python3-pip
    has cargo || has rustup || echo rustup
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || echo ca-certificates
    has git || echo git
}

# Packages that only the image, and a node that runs it, need.
packages_of_node() {
    [ "$(id -u)" = 0 ] && [ "$(uname)" = Linux ] || return 0
    has buildah || echo buildah
    has runc || echo runc
    has ip || echo iproute2
    has dnsmasq || echo dnsmasq-base
    has docker-registry || echo docker-registry
    [ -e /usr/lib/cni/bridge ] || echo containernetworking-plugins
}

# Packages that only the tests with a browser need.
packages_of_browser() {
    has chromium || echo chromium
    has chromedriver || echo chromium-driver
    has node || echo nodejs
    has npm || echo npm
    has curl || echo curl
}

# Prometheus is only unpacked: when its package is installed, a server starts with the machine from then on.
unpack_prometheus() {
    local folder
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -q prometheus)
    mkdir -p "$unpacked"
    dpkg-deb --extract "$folder"/prometheus_*.deb "$unpacked"
    rm -r "$folder"
}

# What is too old, or is there but not set up.
outdated() {
    if has rustup && ! cargo --version >/dev/null 2>&1; then
        echo "a Rust toolchain"
    elif has cargo && ! reaches "$(cargo --version | cut -d ' ' -f 2)" "$rust_needed"; then
        echo "Rust $rust_needed (this is $(cargo --version | cut -d ' ' -f 2))"
    fi
    if has go && ! reaches "$(go_version go)" "$go_needed"; then
        echo "Go $go_needed (this is $(go_version go))"
    fi
}

check() {
    local missing
    missing=$({ packages | tr ' ' '\n'; outdated; } | paste -sd , - | sed 's/,/, /g')
    [ -z "$missing" ] || {
        echo "Missing: $missing. Install it by hand or, on Debian 13, Ubuntu 24.04 or newer, with \`make tools\`." >&2
        exit 1
    }
}

install() {
    local missing as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    missing=$({ packages; packages_of_node; packages_of_browser; } | tr '\n' ' ')
    if [ -n "${missing// /}" ] && ! has apt-get; then
        echo "Missing, and there is no apt-get to install it: $missing" >&2
        exit 1
    fi
    if has apt-get && { [ -n "${missing// /}" ] || ! has promtool; }; then
        "${as_root[@]}" apt-get update -q
    fi
    if [ -n "${missing// /}" ]; then
        # shellcheck disable=SC2086 # one word for each package
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
    fi
    has promtool || ! has apt-get || unpack_prometheus
    widen
    if has rustup; then
        rustup show active-toolchain >/dev/null 2>&1 || rustup default stable
        cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
        cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    fi
    # Go fetches newer versions of itself since 1.21.
    if ! reaches "$(go_version go)" "$go_needed" && reaches "$(go_version go)" 1.21; then
        GOTOOLCHAIN="go$go_needed" go version
    fi
    widen
    check
}

# PATH with the folders of `path`.
widen() {
    local found
    found=$(path)
    PATH="${found:+$found:}$PATH"
}

case ${1:-} in
    path) path ;;
    check | install)
        widen
        "$1"
        ;;
    *)
        sed -n 's/^# \{0,1\}//p' "$0" | sed -n '2,6p' >&2
        exit 2
        ;;
esac
