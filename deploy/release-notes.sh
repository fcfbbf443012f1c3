#!/usr/bin/env bash
# Prints the section of CHANGELOG.md on one version, without its heading: the notes of that release.
#
#   deploy/release-notes.sh VERSION
#
# VERSION is a version such as 0.1.0, or Unreleased. It is an error if there is no such section, or two, or if it is empty.
set -euo pipefail
changelog=${CHANGELOG:-$(dirname "$0")/../CHANGELOG.md}

fail() { echo "release notes: $*" >&2; exit 1; }
[ $# = 1 ] || fail "name one version, as in: deploy/release-notes.sh 0.1.0"
version=$1

# A heading is the version, or a link with the version as its text, and then perhaps a date.
section=$(awk -v version="$version" '
    /^## / { here = ($2 == version || $2 == "[" version "]"); found += here; next }
    here
    END { if (found != 1) exit 3 }
' "$changelog") || fail "CHANGELOG.md needs exactly one section \"## $version\"."
[ -n "${section//[[:space:]]/}" ] || fail "the section \"## $version\" of CHANGELOG.md is empty."

# Command substitution has removed the empty lines at the end; this removes those at the start.
sed '/./,$!d' <<<"$section"
