#!/usr/bin/env bash
# Builds the operator's image with docker, podman or buildah, whichever works here, and prints its name and digest.
# The same commit on the same machine gives the same digest.
#
#   deploy/image.sh [NAME:TAG]
#
# Results, in target/image: the program, oidc-operator.cdx.json (its bill of materials, CycloneDX) and image.tar
# (docker-archive). Variables: BUILDER (docker, podman or buildah), TARGET (a Rust target such as
# aarch64-unknown-linux-gnu), BINARY (a program that is built already), CA_BUNDLE (certificates to trust).
set -euo pipefail
[ -z "${BINARY:-}" ] || BINARY=$(realpath "$BINARY")
[ -z "${CA_BUNDLE:-}" ] || CA_BUNDLE=$(realpath "$CA_BUNDLE")
cd "$(dirname "$0")/.."

fail() { echo "image: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=${1:-localhost/oidc-operator:$version}
out=target/image
cargo=${CARGO:-cargo}
cyclonedx_version=0.5.9
export PATH="$PWD/target/tools/bin:$PATH"

# What makes two builds equal: the time of the commit in place of now, and no path of this machine in the program.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
export SOURCE_DATE_EPOCH=$epoch

# Within `cargo run` or `cargo test`, cargo tells of the package that it runs. Build scripts would take that for a change.
unset "${!CARGO_PKG_@}" "${!CARGO_MANIFEST_@}" OUT_DIR

# A static program for the C library of the machine: since glibc 2.34, the resolvers for files and DNS are part of the
# library itself, so that search domains and ndots of a cluster work without any shared object. Rust's other static C
# library, musl, needs a second C compiler for the TLS library.
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
case $target in
    *-linux-gnu) ;;
    *) [ -n "${BINARY:-}" ] || fail "the program is built for Linux with glibc, and this machine is $target; set TARGET or BINARY." ;;
esac

select_builder() {
    if [ -n "${BUILDER:-}" ]; then
        has "$BUILDER" || fail "BUILDER=$BUILDER is not installed."
        echo "$BUILDER"
    elif has docker && docker info >/dev/null 2>&1; then
        echo docker
    elif has podman && podman info >/dev/null 2>&1; then
        echo podman
    elif has buildah; then
        echo buildah
    else
        fail "none of docker, podman and buildah works here; install one, for example with: apt-get install buildah"
    fi
}
builder=$(select_builder)

# Two builds in one folder wait for each other.
mkdir -p "$out"
exec 9>"$out/lock"
! has flock || flock 9

rm -rf "$out/rootfs" "$out/image.tar"
mkdir -p "$out/rootfs/etc/ssl/certs"

# Relocations of a static program take half a megabyte, and a fiftieth of that when packed. Its start needs glibc 2.36 for
# that.
packed=
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
if [ "$(printf '%s\n' "${glibc#glibc }" 2.36 | sort --version-sort | head -n 1)" = 2.36 ]; then
    packed="-C link-arg=-Wl,-z,pack-relative-relocs"
fi

if [ -z "${BINARY:-}" ]; then
    RUSTFLAGS="$packed -C target-feature=+crt-static --remap-path-prefix=$PWD=/src --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
        "$cargo" build --profile image --locked --package oidc-operator --target "$target" --bin oidc-operator
    BINARY=target/$target/image/oidc-operator
fi
install -m 0755 "$BINARY" "$out/rootfs/oidc-operator"

bundle=${CA_BUNDLE:-}
for candidate in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    [ -n "$bundle" ] || [ ! -e "$candidate" ] || bundle=$candidate
done
[ -n "$bundle" ] || fail "there are no CA certificates here; install ca-certificates, or set CA_BUNDLE."
install -m 0644 "$bundle" "$out/rootfs/etc/ssl/certs/ca-certificates.crt"
printf 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$out/rootfs/etc/passwd"
chmod 0644 "$out/rootfs/etc/passwd"
find "$out/rootfs" -exec touch -h -d "@$epoch" {} +

"$cargo" cyclonedx --version >/dev/null 2>&1 ||
    "$cargo" install --quiet --locked --debug --root target/tools "cargo-cyclonedx@$cyclonedx_version"
"$cargo" cyclonedx --quiet --format json --target "$target" --override-filename oidc-operator.cdx
mv oidc-operator.cdx.json "$out/"
find tests -name oidc-operator.cdx.json -delete # of other members of the workspace

arguments=(
    --file deploy/Containerfile --tag "$name"
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created"
)
case $builder in
    docker)
        docker build "${arguments[@]}" "$out"
        docker save --output "$out/image.tar" "$name"
        ;;
    podman)
        podman build "${arguments[@]}" --timestamp "$epoch" "$out"
        podman save --format docker-archive --output "$out/image.tar" "$name"
        ;;
    buildah)
        # Neither a daemon nor a file system of its own: it works in a container, too.
        buildah --storage-driver vfs bud --isolation chroot --timestamp "$epoch" "${arguments[@]}" "$out"
        buildah --storage-driver vfs push "$name" "docker-archive:$out/image.tar:$name"
        ;;
    *) fail "BUILDER=$builder is not known: it is docker, podman or buildah." ;;
esac

bytes=$(stat -c %s "$BINARY")
echo "image: $name"
echo "program: $((bytes / 1000)) kB, $(sha256sum "$BINARY" | cut -d ' ' -f 1)"
echo "archive: $out/image.tar, $(sha256sum "$out/image.tar" | cut -d ' ' -f 1)"
echo "bill of materials: $out/oidc-operator.cdx.json"
