// A picture of the reader's own, opened in the page: one gray square, as cxrlib.data.decode makes it, or the reason why not
// in the same words. The browser decodes PNG and JPEG; 16-bit gray PNG and DICOM it cannot.

class BadImage extends Error {}

const MAX_PIXELS = 100e6, MAX_RATIO = 500; // as in cxrlib.data.pixels

function refuseBomb(width, height, packed) {
  const size = `${width} x ${height}`;
  if (width * height > MAX_PIXELS) throw new BadImage(t`larger than ${MAX_PIXELS / 1e6} megapixels (${size})`);
  if (width * height > Math.max(1e7, MAX_RATIO * packed)) {
    throw new BadImage(t`unpacks to ${size} pixels from ${packed.toLocaleString("en")} bytes (a decompression bomb), so it was not read`);
  }
}

/** The bytes of a file -> { gray: uint8 (size x size), width, height, notes }. */
async function readPicture(content, size) {
  if (!content.length) throw new BadImage(t`the file is empty (0 bytes)`);
  const { values, width, height, notes = [] } = isDicom(content) ? readDicom(content) : await readPlain(content);
  return { gray: square(values, width, height, size), width, height, notes };
}

async function readPlain(content) {
  const png = letters(content, 0, 8) === "\x89PNG\r\n\x1a\n";
  if (!png && letters(content, 0, 3) !== "\xff\xd8\xff") throw new BadImage(whatIsIt(content));
  const head = png ? pngHead(content) : jpegHead(content);
  refuseBomb(head.width, head.height, content.length);
  if (head.frames > 1) throw new BadImage(t`holds ${head.frames} frames (animated or several pages); save one frame as its own file`);
  if (head.parts === 4) throw new BadImage(t`has CMYK colors, made for printing; save it as a gray or RGB image`);
  if (head.cutOff) throw new BadImage(t`the file is cut off (truncated); download or copy it again`);
  try {
    if (png && head.depth === 16 && head.color === 0 && !head.interlaced) return await png16(head);
    return await byBrowser(content, png ? "image/png" : "image/jpeg");
  } catch (error) {
    if (error instanceof BadImage) throw error;
    throw new BadImage(t`the file is damaged, or of a rare kind (${error.message || error.name})`);
  }
}

function pngHead(content) {
  const data = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const head = { width: 0, height: 0, frames: 1, cutOff: true, packed: [] };
  for (let at = 8; at + 12 <= content.length;) {
    const length = data.getUint32(at), name = letters(content, at + 4, at + 8), from = at + 8;
    at = from + length + 4;
    if (at > content.length) break;
    if (name === "IHDR") {
      [head.width, head.height] = [data.getUint32(from), data.getUint32(from + 4)];
      [head.depth, head.color, head.interlaced] = [content[from + 8], content[from + 9], content[from + 12]];
    } else if (name === "acTL") head.frames = data.getUint32(from);
    else if (name === "IDAT") head.packed.push(content.subarray(from, from + length));
    else if (name === "IEND") head.cutOff = false;
  }
  return head;
}

function jpegHead(content) {
  const data = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const head = { width: 0, height: 0, parts: 0, cutOff: true };
  for (let at = 2; at + 10 <= content.length;) {
    const [start, mark] = [content[at], content[at + 1]];
    if (start !== 0xff) break;
    if (mark === 0xff || (mark >= 0xd0 && mark <= 0xd7) || mark === 1) { // filling, or a mark without a length
      at += mark === 0xff ? 1 : 2;
      continue;
    }
    if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark)) {
      [head.height, head.width, head.parts] = [data.getUint16(at + 5), data.getUint16(at + 7), content[at + 9]];
    }
    if (mark === 0xda) { // the pixels: they end in a mark that cannot stand among them
      for (let end = content.length - 2; end > at && head.cutOff; end--) head.cutOff = content[end] !== 0xff || content[end + 1] !== 0xd9;
      break;
    }
    at += 2 + data.getUint16(at + 2);
  }
  return head;
}

async function byBrowser(content, type) {
  const bitmap = await createImageBitmap(new Blob([content], { type }), { colorSpaceConversion: "none" }); // turned as it asks
  const { width, height } = bitmap, canvas = h("canvas", { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = pen.getImageData(0, 0, width, height).data, values = new Uint8Array(width * height);
  let opaque = 0;
  for (let i = 0, p = 0; i < values.length; i++, p += 4) {
    const luminance = (19595 * rgba[p] + 38470 * rgba[p + 1] + 7471 * rgba[p + 2] + 32768) >> 16; // as Pillow computes it
    values[i] = Math.round((luminance * rgba[p + 3]) / 255); // over black
    opaque += rgba[p + 3] > 127;
  }
  if (100 * opaque < values.length) throw new BadImage(t`is transparent nearly everywhere, and this page cannot look behind that; save it without transparency`);
  return { values, width, height };
}

/** A gray PNG of 16 bits, from its own lowest to its highest value. */
async function png16({ width, height, packed }) {
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const lines = new Uint8Array(await new Response(stream).arrayBuffer()), row = 2 * width;
  if (lines.length < height * (row + 1)) throw new BadImage(t`the file is cut off (truncated); download or copy it again`);
  const out = new Uint8Array(height * row);
  for (let y = 0; y < height; y++) {
    const filter = lines[y * (row + 1)], from = y * (row + 1) + 1, to = y * row;
    for (let x = 0; x < row; x++) {
      const left = x > 1 ? out[to + x - 2] : 0, up = y ? out[to + x - row] : 0, corner = x > 1 && y ? out[to + x - row - 2] : 0;
      out[to + x] = lines[from + x] + [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
    }
  }
  const values = new DataView(out.buffer), numbers = Uint16Array.from({ length: width * height }, (_, i) => values.getUint16(2 * i));
  const low = numbers.reduce((a, b) => Math.min(a, b), 65535), high = numbers.reduce((a, b) => Math.max(a, b), 0);
  return { values: Uint8ClampedArray.from(numbers, (v) => (high > low ? (v - low) * (255 / (high - low)) : 0)), width, height };
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Squeeze gray values to size x size: Pillow's resize(BILINEAR, reducing_gap=3), which averages what it makes smaller. */
function square(values, width, height, size) {
  const reduce = [width, height].map((side) => Math.max(1, Math.floor(side / size / 3)));
  const [w, hi] = [Math.ceil(width / reduce[0]), Math.ceil(height / reduce[1])];
  const small = averagedCells(values, width, height, reduce, w, hi);
  // along the rows, then along the columns, rounded between
  const across = resampled(small, w, hi, width / reduce[0], size, (i, x) => i * w + x, (i, o) => i * size + o);
  return resampled(across, hi, size, height / reduce[1], size, (i, y) => y * size + i, (i, o) => o * size + i);
}

function averagedCells(values, width, height, [across, down], w, hi) {
  if (across === 1 && down === 1) return values;
  const out = new Uint8Array(w * hi);
  for (let y = 0; y < hi; y++) for (let x = 0; x < w; x++) {
    let sum = 0, count = 0;
    for (let v = y * down; v < Math.min((y + 1) * down, height); v++) {
      for (let u = x * across; u < Math.min((x + 1) * across, width); u++, count++) sum += values[v * width + u];
    }
    out[y * w + x] = Math.floor(sum / count + 0.5);
  }
  return out;
}

/** `lines` lines of `length` values, of which `used` are the picture: `size` values each, weighted by a triangle. */
function resampled(values, length, lines, used, size, from, to) {
  const out = new Uint8Array(size * lines), scale = used / size, support = Math.max(scale, 1);
  for (let o = 0; o < size; o++) {
    const center = (o + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - support + 0.5)), end = Math.min(length, Math.floor(center + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, k) => Math.max(0, 1 - Math.abs((first + k - center + 0.5) / support)));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let i = 0; i < lines; i++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * values[from(i, first + k)];
      out[to(i, o)] = Math.floor(sum / total + 0.5);
    }
  }
  return out;
}

/** What a file is that is not read here, by its first bytes. */
function whatIsIt(content) {
  const head = content.subarray(0, 512), start = letters(head, 0, 12), begins = (...all) => all.some((text) => letters(head, 0, text.length) === text);
  if (begins("version https" + "://git-lfs")) return t`is a Git LFS pointer, not the image; run ${"`git lfs pull`"}`;
  if (begins("\x1f\x8b", "PK\x03\x04", "Rar!", "7z\xbc\xaf")) return t`is an archive, not an image; unpack it`;
  if (/^....ftyp(hei[cxf]|mif1|msf1|avif)/s.test(start)) return t`is a HEIC or AVIF picture, as phones take them, which is not read; export it as PNG or JPEG`;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    if (!/[^\P{C}\s]/u.test(text)) return t`is a text file, not an image, whatever its name says`;
  } catch { /* no text */ }
  const kinds = { TIFF: /^(II[*+]\0|MM\0[*+])/, GIF: /^GIF8/, WebP: /^RIFF....WEBP/s, BMP: /^BM/, "JPEG 2000": /^(\0\0\0\x0cjP {2}|\xff\x4f\xff\x51)/, PPM: /^P[1-6]\s/ };
  const other = Object.keys(kinds).find((name) => kinds[name].test(start));
  if (other) return t`is a ${other} picture, which this page does not read; export it as PNG or JPEG`;
  return t`is neither an image that Pillow can read nor a DICOM file, or its header is damaged`;
}
