// The words of a page's language. It stands before everything else; cxrlib.words puts a table in here.

const WORDS_HERE = {};

/** t`${n} images` is that sentence in the page's language; the table knows it as "{0} images". Without an entry: itself. */
function t(parts, ...values) {
  const english = String.raw({ raw: parts }, ...values.map((_, i) => `{${i}}`));
  return (WORDS_HERE[english] ?? english).replace(/\{(\d+)\}/g, (_, i) => values[i]);
}
