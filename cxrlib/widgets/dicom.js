// DICOM in the page: what cxrlib.data.dicom reads of an uncompressed gray picture, in the same words. No name,
// number or date of a patient is looked at.

const SYNTAXES = { "1.2.840.10008.1.2": "implicit", "1.2.840.10008.1.2.1": "explicit" };
// as pydicom names what is not read here
const PACKED = {
  "1.2.1.99": "Deflated Explicit VR Little Endian", "1.2.4.50": "JPEG Baseline (Process 1)",
  "1.2.4.51": "JPEG Extended (Process 2 and 4)", "1.2.4.57": "JPEG Lossless, Non-Hierarchical (Process 14)",
  "1.2.4.70": "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
  "1.2.4.80": "JPEG-LS Lossless Image Compression", "1.2.4.81": "JPEG-LS Lossy (Near-Lossless) Image Compression",
  "1.2.4.90": "JPEG 2000 Image Compression (Lossless Only)", "1.2.4.91": "JPEG 2000 Image Compression", "1.2.5": "RLE Lossless",
};
const ELEMENTS = {
  modality: 0x00080060, samples: 0x00280002, kind: 0x00280004, frames: 0x00280008, rows: 0x00280010, columns: 0x00280011,
  allocated: 0x00280100, stored: 0x00280101, high: 0x00280102, negative: 0x00280103, padding: 0x00280120,
  paddingLimit: 0x00280121, burnedIn: 0x00280301, center: 0x00281050, width: 0x00281051, intercept: 0x00281052,
  slope: 0x00281053, curve: 0x00281056, modalityTable: 0x00283000, table: 0x00283010, shape: 0x20500020,
  overlay: 0x60000102, floats: 0x7fe00008, doubles: 0x7fe00009, pixels: 0x7fe00010,
};
const WANTED = new Map(Object.entries(ELEMENTS).map(([name, tag]) => [tag, name]));
const LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV".split(" "); // their length has four bytes
const BARE = ["\x02\0\0\0UL\x04\0", ...["\0\0", "\x01\0", "\x05\0", "\x08\0", "\x16\0"].map((tag) => `\x08\0${tag}`)];
const MODALITIES = ["CR", "DX", "DR", "RG", "RF", "XA", "SC", "OT"];
const BURNED_IN = t`The file says that text is burned into its picture: it may name the patient. Look before you show it to anybody.`;

const letters = (content, from, to) => String.fromCharCode(...content.subarray(from, to));

function isDicom(content) {
  return letters(content, 128, 132) === "DICM" || BARE.some((start) => letters(content, 0, start.length) === start);
}

/** { values: uint8 in rows, width, height, notes } as a viewer would show the picture; or BadImage. */
function readDicom(content) {
  try {
    return shownDicom(content);
  } catch (error) {
    if (error instanceof BadImage) throw error;
    throw new BadImage(t`the DICOM file cannot be read, it is damaged or unusual (${error.name}); copy it again, or export it as PNG`);
  }
}

function shownDicom(content) {
  const data = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let at = letters(content, 128, 132) === "DICM" ? 132 : 0, syntax = null;
  if (data.getUint16(at, true) === 2) {
    for (const [tag, from, length, next] of walk(data, at, true, (group) => group !== 2)) {
      if (tag === 0x00020010) syntax = letters(content, from, from + length).replace(/[\0 ]+$/, "");
      at = next;
    }
  }
  // a data set without meta elements: two capital letters behind the first tag are an explicit type
  syntax ??= `1.2.840.10008.1.2${/^[A-Z]{2}$/.test(letters(content, at + 4, at + 6)) ? ".1" : ""}`;
  if (syntax === "1.2.840.10008.1.2.2") throw new BadImage(t`the DICOM file is big endian, which this page does not read; export it as PNG`);
  if (!SYNTAXES[syntax]) {
    const name = PACKED[syntax.replace("1.2.840.10008.", "")] ?? syntax;
    throw new BadImage(t`the DICOM file is compressed as ${name}, which this page cannot read; export it uncompressed or as PNG`);
  }
  const held = {};
  for (const [tag, from, length] of walk(data, at, SYNTAXES[syntax] === "explicit", () => false)) {
    if (WANTED.has(tag)) held[WANTED.get(tag)] = { from, length };
  }
  const whole = (name) => (held[name]?.length ? data.getUint16(held[name].from, true) : null);
  const written = (name) => (held[name] ? letters(content, held[name].from, held[name].from + held[name].length).replace(/[\0 ]+$/, "").trimStart() : "");
  const decimal = (name) => { // a number, or the first of several alternatives
    const first = written(name).split("\\")[0].trim();
    if (first === "") return null;
    if (!Number.isFinite(Number(first))) throw new TypeError(name);
    return Number(first);
  };
  return gray8(data, held, { whole, written, decimal }, content.length);
}

/** Elements one after the other: [tag, where its value begins, its length, where the next begins]. */
function* walk(data, at, explicit, stop) {
  while (at + 8 <= data.byteLength) {
    const group = data.getUint16(at, true), tag = group * 65536 + data.getUint16(at + 2, true);
    if (stop(group, tag)) return;
    let from = at + 8, length = data.getUint32(at + 4, true);
    if (explicit && group !== 0xfffe) {
      const kind = String.fromCharCode(data.getUint8(at + 4), data.getUint8(at + 5));
      if (LONG.includes(kind)) {
        length = data.getUint32(at + 8, true);
        from = at + 12;
      } else length = data.getUint16(at + 6, true);
    }
    if (length === 0xffffffff) { // a sequence or an item of unknown length: what is inside tells where it ends
      const end = tag === 0xfffee000 ? 0xfffee00d : 0xfffee0dd;
      let next = from;
      for (const inner of walk(data, from, explicit, (_, found) => found === end)) next = inner[3];
      at = next + 8;
      yield [tag, from, 0, at];
    } else {
      if (from + length > data.byteLength) throw new RangeError("cut off");
      yield [tag, from, length, from + length];
      at = from + length;
    }
  }
}

function gray8(data, held, { whole, written, decimal }, packed) {
  const notes = [];
  if (!held.pixels && !held.floats && !held.doubles) throw new BadImage(t`the DICOM file holds no picture (no pixel data); it may be a report or an index`);
  const lacks = [["Rows", "rows"], ["Columns", "columns"], ["BitsAllocated", "allocated"]].filter(([, name]) => !whole(name));
  if (lacks.length) throw new BadImage(t`the DICOM file does not say its ${lacks.map(([name]) => name).join(" and ")}; export it as PNG`);
  const [height, width, allocated] = ["rows", "columns", "allocated"].map(whole);
  refuseBomb(width, height, packed);
  const frames = Math.trunc(decimal("frames") ?? 0) || 1;
  if (frames !== 1) throw new BadImage(t`the DICOM file holds ${frames} frames, not one picture; save one frame as its own file`);
  const named = written("kind") || "not given", kind = named.toUpperCase();
  if ((whole("samples") || 1) !== 1 || !["MONOCHROME1", "MONOCHROME2"].includes(kind)) {
    throw new BadImage(t`the DICOM file is not a gray picture (PhotometricInterpretation ${named}); an X-ray is MONOCHROME1 or MONOCHROME2`);
  }
  if (!held.pixels || ![8, 16].includes(allocated)) throw new BadImage(held.pixels
    ? t`the DICOM file has ${allocated} bits for each pixel, and this page reads 8 and 16; export it as PNG`
    : t`the DICOM file has broken numbers for each pixel, and this page reads 8 and 16; export it as PNG`);
  for (const [name, words] of [["modalityTable", "ModalityLUTSequence"], ["table", "VOILUTSequence"]]) {
    if (held[name]) throw new BadImage(t`the DICOM file asks for a lookup table (${words}), which this page does not read; export it as PNG`);
  }
  const negative = Boolean(whole("negative"));
  const stored = storedValues(data, held, { count: width * height, allocated, negative, bits: whole("stored") ?? 0, high: whole("high") }, notes);
  const padded = padding(held, whole, negative, allocated);
  let slope = decimal("slope");
  if (slope === 0) notes.push(t`RescaleSlope is 0, which would leave a single gray: 1 is used`);
  slope ||= 1;
  const intercept = decimal("intercept") ?? 0;
  const shown = (show) => Uint8ClampedArray.from(stored, (v) => { // which rounds as np.rint does
    if (padded(v)) return 0;
    const plain = show(slope * v + intercept);
    return kind === "MONOCHROME1" ? 255 - plain : plain;
  });
  const shape = written("shape").toUpperCase();
  if (shape && (shape === "INVERSE") !== (kind === "MONOCHROME1")) notes.push(t`PresentationLUTShape ${shape.slice(0, 16)} contradicts ${kind}, which is obeyed`);
  const values = windowOf(decimal, written, shown, notes) ?? allOf(stored, padded, slope, intercept, shown);
  const modality = written("modality").toUpperCase().slice(0, 16);
  if (modality && !MODALITIES.includes(modality)) notes.push(t`Modality is ${modality}: this is not a plain X-ray`);
  if (written("burnedIn") === "YES") notes.push(BURNED_IN);
  return { values, width, height, notes };
}

/** The stored values, moved to the lowest bits; what the pixels contradict is put right. */
function storedValues(data, held, { count, allocated, negative, bits, high }, notes) {
  const { from, length } = held.pixels;
  if (length < count * (allocated / 8)) throw new RangeError("fewer pixels than it says");
  const read = allocated === 8 ? (negative ? "getInt8" : "getUint8") : negative ? "getInt16" : "getUint16";
  let values = Int32Array.from({ length: count }, (_, i) => data[read](from + i * (allocated / 8), true));
  high ??= bits - 1;
  if (bits < 1 || bits > allocated) {
    notes.push(t`BitsStored is ${bits} of ${allocated} bits, which cannot be: all bits are used`);
    [bits, high] = [allocated, allocated - 1];
  }
  const fits = values.every((v) => v >= -(2 ** (bits - 1)) && v < 2 ** bits);
  if (high !== bits - 1) {
    if (high > bits - 1 && high < allocated && !fits) values = values.map((v) => v >> (high + 1 - bits));
    else notes.push(t`HighBit is ${high} with ${bits} bits stored, which the pixels contradict: it is not used`);
  } else if (!fits && !held.overlay) {
    notes.push(t`the pixels need more bits than the ${bits} of BitsStored: they are taken as they are`);
    return values;
  }
  const cut = 32 - bits;
  return values.map((v) => (negative ? (v << cut) >> cut : (v << cut) >>> cut));
}

/** Which stored values are outside the picture. */
function padding(held, whole, negative, allocated) {
  if (!held.padding) return () => false;
  const wrap = (v) => (allocated === 16 && negative ? (v << 16) >> 16 : v);
  const value = wrap(whole("padding")), limit = held.paddingLimit ? wrap(whole("paddingLimit")) : value;
  const [low, high] = [Math.min(value, limit), Math.max(value, limit)];
  return (v) => v >= low && v <= high;
}

/** The picture in the window that the file asks for; null where it asks for none, or for one that shows nothing. */
function windowOf(decimal, written, shown, notes) {
  const center = decimal("center"), width = decimal("width");
  if (center == null || width == null) return null;
  const curve = (written("curve") || "LINEAR").toUpperCase();
  if (!["LINEAR", "LINEAR_EXACT", "SIGMOID"].includes(curve) || !(width > 0) || (curve === "LINEAR" && width < 1)) {
    notes.push(t`the window in the DICOM file cannot be used (${curve}, width ${width}): all values are shown`);
    return null;
  }
  const gray = shown((x) => windowed(x, center, width, curve));
  if (gray.some((v) => v !== gray[0])) return gray;
  notes.push(t`the window or table in the DICOM file leaves a single gray: all values are shown instead`);
  return null;
}

/** The picture from its lowest to its highest value; of the padding, where there is nothing else. */
function allOf(stored, padded, slope, intercept, shown) {
  let inside = stored.filter((v) => !padded(v));
  if (!inside.length) inside = stored;
  let low = Infinity, high = -Infinity;
  for (const v of inside) {
    const x = slope * v + intercept;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  return shown(high === low ? () => 0 : (x) => windowed(x, (low + high) / 2, high - low, "LINEAR_EXACT"));
}
