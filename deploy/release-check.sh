#!/usr/bin/env bash
# Checks that the tree is ready to be released as a version, and prints the version. It says all that is wrong, not only the
# first.
#
#   deploy/release-check.sh TAG
#
# TAG is v and a version, such as v0.1.0.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 1 ] || { echo "release: name one tag, as in: deploy/release-check.sh v0.1.0" >&2; exit 1; }
tag=$1
version=${tag#v}
wrong=0

complain() { echo "release: $*" >&2; wrong=1; }

# Compares the tag with the versions that a place has, one a line.
expect() { # PLACE
    local place=$1 found any=0
    while read -r found; do
        any=1
        [ "$found" = "$version" ] || complain "$place is $found, and the tag is $tag."
    done
    [ "$any" = 1 ] || complain "$place is missing."
}

[[ $tag =~ ^v(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-[0-9A-Za-z.-]+)?$ ]] ||
    complain "the tag $tag is not v and a semantic version without build metadata."

of_crate() { sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml; }
of_chart() { sed -n "s/^$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" charts/oidc-operator/Chart.yaml; }
of_image() { sed -n 's/.*image: "\{0,1\}ghcr\.io\/oidc-operator\/oidc-operator:\([^" ]*\).*/\1/p' "$1"; }
of_labels() { sed -n 's/.*app\.kubernetes\.io\/version: "\{0,1\}\([^" ]*\).*/\1/p' "$1" | sort -u; }

expect "the version of the crate in Cargo.toml" < <(of_crate)
expect "version in Chart.yaml" < <(of_chart version)
expect "appVersion in Chart.yaml" < <(of_chart appVersion)
expect "the image in Chart.yaml" < <(of_image charts/oidc-operator/Chart.yaml)
expect "the image in deploy/base/install.yaml" < <(of_image deploy/base/install.yaml)
for manifest in base/install.yaml crds.yaml deletion-protection.yaml; do
    expect "the version label in deploy/$manifest" < <(of_labels "deploy/$manifest")
done

[ -d "tests/states/$version" ] || complain "tests/states/$version is missing, from which later versions are tested."
deploy/release-notes.sh "$version" >/dev/null || wrong=1
if pending=$(deploy/release-notes.sh Unreleased 2>/dev/null); then
    complain "CHANGELOG.md still lists changes as unreleased: $(grep -c '^- ' <<<"$pending") entries."
fi

[ "$wrong" = 0 ] || exit 1
echo "$version"
