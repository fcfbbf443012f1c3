#!/usr/bin/env bash
# Publishes the image and the chart of a release to a registry, and prints their digests as NAME=DIGEST: image (for all
# architectures), amd64, arm64 and chart. It publishes nothing if a tag that it would write exists.
#
#   deploy/publish.sh VERSION FOLDER
#
# FOLDER holds image-amd64.tar and image-arm64.tar (docker-archive), and oidc-operator-VERSION.tgz, the packaged chart.
# Variables: IMAGE and CHARTS (where to, by default on ghcr.io), HELM_FLAGS. Needs crane, helm and jq, and a login that both
# find, such as that of `docker login`.
set -euo pipefail

fail() { echo "publish: $*" >&2; exit 1; }
[ $# = 2 ] || fail "name version and folder, as in: deploy/publish.sh 0.1.0 release"
version=$1
folder=$2
image=${IMAGE:-ghcr.io/oidc-operator/oidc-operator}
charts=${CHARTS:-ghcr.io/oidc-operator/charts}
chart=$folder/oidc-operator-$version.tgz
architectures=(amd64 arm64)

# An answer that says that there is nothing is the only one that counts as free; a failed request does not. A registry may
# answer DENIED for a repository that does not exist yet; whoever may push to one that exists may also read it.
must_be_free() { # REFERENCE
    local answer
    if answer=$(crane digest "$1" 2>&1); then
        fail "$1 exists already ($answer). A published version never changes: release the next one."
    fi
    grep -qE 'MANIFEST_UNKNOWN|NAME_UNKNOWN|DENIED|404 Not Found' <<<"$answer" || fail "whether $1 exists is unknown: $answer"
}

# The architecture that the image itself says it has, "linux/amd64".
platform_of() { # ARCHIVE
    local configuration
    configuration=$(tar -xOf "$1" manifest.json | jq -er '.[0].Config')
    tar -xOf "$1" "$configuration" | jq -er '"\(.os)/\(.architecture)"'
}

[ -f "$chart" ] || fail "$chart is missing."
for architecture in "${architectures[@]}"; do
    archive=$folder/image-$architecture.tar
    [ -f "$archive" ] || fail "$archive is missing."
    platform=$(platform_of "$archive")
    [ "$platform" = "linux/$architecture" ] || fail "$archive is an image for $platform."
done
for tag in "$version" "${architectures[@]/#/$version-}"; do
    must_be_free "$image:$tag"
done
must_be_free "$charts/oidc-operator:$version"

manifests=()
for architecture in "${architectures[@]}"; do
    archive=$folder/image-$architecture.tar
    digest=$(crane digest --tarball "$archive")
    crane push "$archive" "$image:$version-$architecture" >&2
    manifests+=(--manifest "$image@$digest")
    echo "$architecture=$digest"
done
# Docker's type of list, because the archives hold Docker's type of manifest, and some registries refuse a mix.
crane index append --docker-empty-base "${manifests[@]}" --tag "$image:$version" >&2
echo "image=$(crane digest "$image:$version")"

# Unquoted: several flags.
# shellcheck disable=SC2086
helm push "$chart" "oci://$charts" ${HELM_FLAGS:-} >&2
echo "chart=$(crane digest "$charts/oidc-operator:$version")"
