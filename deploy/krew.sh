#!/usr/bin/env bash
# Prints the manifest with which krew, the plugin manager of kubectl, installs kubectl oidc of a release.
#
#   deploy/krew.sh VERSION FOLDER
#
# FOLDER holds kubectl-oidc-VERSION-linux-ARCHITECTURE.tar.gz for amd64 and arm64, with the program kubectl-oidc and LICENSE.
# Variable: URL, where the files of the release are to be found.
set -euo pipefail

fail() { echo "krew: $*" >&2; exit 1; }
[ $# = 2 ] || fail "name version and folder, as in: deploy/krew.sh 0.1.0 release"
version=$1
folder=$2
url=${URL:-https://github.com/oidc-operator/oidc-operator/releases/download/v$version}

cat <<END
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: oidc
spec:
  version: v$version
  homepage: https://github.com/oidc-operator/oidc-operator
  shortDescription: Show and change the resources of the OIDC operator
  description: |
    Shows OAuth2 clients, key sets, providers, scopes and assignments of the OIDC operator as a tree with what is wrong,
    explains what differs on their server, rotates secrets, checks an installation, and moves in from other tools.
  platforms:
END
for architecture in amd64 arm64; do
    name=kubectl-oidc-$version-linux-$architecture.tar.gz
    [ -f "$folder/$name" ] || fail "$folder/$name is missing."
    tar --list --gzip --file "$folder/$name" kubectl-oidc >/dev/null 2>&1 || fail "$folder/$name has no kubectl-oidc."
    sum=$(sha256sum "$folder/$name" | cut -d ' ' -f 1)
    cat <<END
    - selector:
        matchLabels: { os: linux, arch: $architecture }
      uri: $url/$name
      sha256: $sum
      bin: kubectl-oidc
END
done
