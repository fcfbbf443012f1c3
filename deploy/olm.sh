#!/usr/bin/env bash
# Assembles a bundle for Operator Lifecycle Manager in target/olm: the CRDs of deploy/crds.yaml, the metrics Service, and a
# ClusterServiceVersion made of deploy/olm and the permissions and Deployment of deploy/base/install.yaml.
#
#   deploy/olm.sh
#   docker build --file target/olm/bundle.Containerfile --tag registry.example.com/oidc-operator-bundle:0.1.0 target/olm
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/olm
install=deploy/base/install.yaml
version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)

fail() { echo "olm: $*" >&2; exit 1; }

# The object of that kind and name in install.yaml; it is an error if there is none.
object() { # KIND NAME
    awk -v kind="$1" -v name="$2" '
        function flush() { if (is_kind && is_name) { printf "%s", text; found = 1 } text = ""; is_kind = is_name = 0 }
        /^---$/ { flush(); next }
        { text = text $0 "\n" }
        $0 == "kind: " kind { is_kind = 1 }
        $0 == "  name: " name { is_name = 1 }
        END { flush(); exit !found }
    ' "$install" || fail "$install has no $1 $2."
}

# The lines below a top-level key of the object on standard input.
below() { # KEY
    awk -v key="$1:" '/^[^ #]/ { inside = ($0 == key); next } inside'
}

# The template, with each `KEY: # from: KIND NAME` filled in.
fill_in() {
    local line indent key kind name
    while IFS= read -r line; do
        if [[ $line =~ ^(\ *)([a-z]+):\ \#\ from:\ ([A-Za-z]+)\ (.+)$ ]]; then
            indent=${BASH_REMATCH[1]} key=${BASH_REMATCH[2]} kind=${BASH_REMATCH[3]} name=${BASH_REMATCH[4]}
            echo "$indent$key:"
            object "$kind" "$name" | below "$key" | sed "s/^/$indent/"
        else
            echo "$line"
        fi
    done
}

rm -rf "$out"
mkdir -p "$out/manifests" "$out/metadata"

csv=$out/manifests/oidc-operator.clusterserviceversion.yaml
# Kubernetes expands the variable in the flag.
# shellcheck disable=SC2016
sed -e '/^#/d' -e "s/@VERSION@/$version/g" -e "s/@CREATED@/$created/g" deploy/olm/clusterserviceversion.yaml |
    fill_in |
    sed 's/--lease-namespace=kube-system$/--lease-namespace=$(OIDC_OPERATOR_NAMESPACE)/' >"$csv"
# shellcheck disable=SC2016
grep -qF -- '--lease-namespace=$(OIDC_OPERATOR_NAMESPACE)' "$csv" || fail "the Deployment names no Lease in kube-system."

# Operator Lifecycle Manager puts it into the operator's namespace.
object Service oidc-operator-metrics | sed -e '/^#/d' -e '/^  namespace:/d' >"$out/manifests/oidc-operator-metrics.service.yaml"

awk -v folder="$out/manifests/" '
    /^---$/ { file = ""; head = ""; next }
    /^#/ && file == "" { next }
    file == "" { head = head $0 "\n" }
    file == "" && /^  name: / { file = folder $2 ".crd.yaml"; printf "%s", head >file; next }
    file != "" { print >file }
' deploy/crds.yaml

cp deploy/olm/annotations.yaml "$out/metadata/"
{
    echo "FROM scratch"
    sed -n 's/^  \(operators\..*\): \(.*\)$/LABEL \1=\2/p' deploy/olm/annotations.yaml
    echo "COPY manifests /manifests/"
    echo "COPY metadata /metadata/"
} >"$out/bundle.Containerfile"

echo "bundle: $out, version $version"
