#!/usr/bin/env bash
# Fetch the part of reveal.js that the slides need from npm into book/_static/reveal (committed: slides work offline).
set -euo pipefail
cd "$(dirname "$0")/.."
version=6.0.2
sha512=258220e43f5aa31a1a2de6fce0ef8ebc0c2c2967486af56010349cc6d6045c5093eade9342b84db5282881c8dd0a974bb168258499f7cf21377d43b0887e4a12
target=book/_static/reveal
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "reveal.js@$version" >/dev/null && echo "$sha512  reveal.js-$version.tgz" | sha512sum --check --quiet &&
  tar xzf "reveal.js-$version.tgz")
rm -rf "$target"
mkdir -p "$target"
cp "$work/package/LICENSE" "$work/package/dist/reveal.css" "$work/package/dist/reveal.js" "$work/package/dist/plugin/notes.js" "$target/"
echo "reveal.js $version: $(du -sh "$target" | cut -f 1) in $target"
