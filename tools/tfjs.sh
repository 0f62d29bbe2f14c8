#!/usr/bin/env bash
# Fetch TensorFlow.js (core, and the WebAssembly back end with SIMD) from npm into cxrlib/widgets/tfjs.js: one script that
# a page can load from the disk, where nothing may be fetched, so the WebAssembly stands in it in base 64. Committed.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.22.0
target=cxrlib/widgets/tfjs.js
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for part in core backend-wasm; do
  (cd "$work" && npm pack --silent "@tensorflow/tfjs-$part@$version" >/dev/null && mkdir "$part" &&
    tar xzf "tensorflow-tfjs-$part-$version.tgz" -C "$part" --strip-components 1)
done
core=$work/core/dist/tf-core.es2017.min.js
wasm=$work/backend-wasm/dist/tf-backend-wasm.es2017.min.js
simd=$work/backend-wasm/dist/tfjs-backend-wasm-simd.wasm
{
  echo "/* TensorFlow.js $version (core, WebAssembly back end), Copyright Google LLC, Apache License 2.0: tfjs.LICENSE."
  echo " * Made by tools/tfjs.sh from npm; the SHA-256 of the three files that stand below, one after the other:"
  for file in "$core" "$wasm" "$simd"; do echo " *   $(sha256sum "$file" | cut -d ' ' -f 1)  $(basename "$file")"; done
  echo " */"
  echo '(function () { var define, exports, module; // a notebook has a loader of its own'
  grep -v '^//# sourceMappingURL' "$core"
  echo ';'
  grep -v '^//# sourceMappingURL' "$wasm"
  echo ';'
  printf 'this.tf.cxrWasm = "data:application/wasm;base64,%s";\n' "$(base64 -w 0 "$simd")"
  echo '}).call(globalThis);'
} > "$target"
echo "TensorFlow.js $version: $(du -h "$target" | cut -f 1) in $target"
