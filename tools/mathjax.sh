#!/usr/bin/env bash
# Fetch the part of MathJax that the book needs from npm into book/_static/mathjax (committed: the book reads offline).
set -euo pipefail
cd "$(dirname "$0")/.."
version=3.2.2
target=book/_static/mathjax
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "mathjax@$version" && tar xzf "mathjax-$version.tgz")
rm -rf "$target"
mkdir -p "$target/output/chtml/fonts"
cp "$work/package/LICENSE" "$target/"
cp "$work/package/es5/tex-mml-chtml.js" "$target/"
cp -r "$work/package/es5/output/chtml/fonts/woff-v2" "$target/output/chtml/fonts/"
echo "mathjax $version: $(du -sh "$target" | cut -f 1) in $target"
