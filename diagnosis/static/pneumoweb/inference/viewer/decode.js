// Worker: a film's greyscale PNG -> its values at full depth, with copies of half the size each.
// A browser's own decoder gives 8 bits; this one keeps all 16.
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const SMALLEST_LEVEL = 256;

self.addEventListener("message", async ({ data: bytes }) => {
  try {
    const film = await decode(new Uint8Array(bytes));
    const levels = pyramid(film);
    const histogram = count(film);
    self.postMessage({ bits: film.bits, levels, histogram }, [histogram.buffer, ...levels.map((l) => l.values.buffer)]);
  } catch (error) {
    self.postMessage({ error: error.message });
  }
});

/** PNG (ISO/IEC 15948), greyscale of 8 or 16 bits, not interlaced: what the site stores. */
async function decode(bytes) {
  if (SIGNATURE.some((byte, place) => bytes[place] !== byte)) throw new Error("The film is no PNG picture.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packed = [];
  let width = 0, height = 0, bits = 0;
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = at + 8;
    if (kind === "IHDR") {
      [width, height, bits] = [view.getUint32(body), view.getUint32(body + 4), bytes[body + 8]];
      if (bytes[body + 9] !== 0 || bytes[body + 12] !== 0 || (bits !== 8 && bits !== 16)) {
        throw new Error("The film is stored in an unexpected way.");
      }
    } else if (kind === "IDAT") {
      packed.push(bytes.subarray(body, body + length));
    } else if (kind === "IEND") {
      break;
    }
    at = body + length + 4;
  }
  const step = bits / 8;
  const raw = await inflate(packed, height * (width * step + 1));
  unfilter(raw, width * step, height, step);
  return { width, height, bits, values: join(raw, width, height, step) };
}

async function inflate(parts, size) {
  const plain = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(plain).arrayBuffer());
  if (raw.length !== size) throw new Error("The film is incomplete.");
  return raw;
}

/** Undo the filter of each line, in place: each byte was stored as its difference from a guess. */
function unfilter(raw, stride, height, step) {
  for (let y = 0; y < height; y++) {
    const kind = raw[y * (stride + 1)];
    const start = y * (stride + 1) + 1;
    const end = start + stride;
    const above = y > 0 ? stride + 1 : 0; // how far back the byte above lies; 0 means there is none
    if (kind === 1) {
      for (let i = start + step; i < end; i++) raw[i] += raw[i - step];
    } else if (kind === 2 && above) {
      for (let i = start; i < end; i++) raw[i] += raw[i - above];
    } else if (kind === 3) {
      for (let i = start; i < end; i++) {
        const left = i < start + step ? 0 : raw[i - step];
        raw[i] += (left + (above ? raw[i - above] : 0)) >> 1;
      }
    } else if (kind === 4) {
      paeth(raw, start, end, step, above);
    } else if (kind > 4) {
      throw new Error("The film is damaged.");
    }
  }
}

/** The slowest filter: of the bytes to the left, above and above left, the one nearest to a + b - c. */
function paeth(raw, start, end, step, above) {
  if (!above) {
    for (let i = start + step; i < end; i++) raw[i] += raw[i - step];
    return;
  }
  for (let i = start; i < start + step; i++) raw[i] += raw[i - above];
  for (let i = start + step; i < end; i++) {
    const a = raw[i - step], b = raw[i - above], c = raw[i - above - step];
    let pa = b - c, pb = a - c;
    let pc = pa + pb;
    if (pa < 0) pa = -pa;
    if (pb < 0) pb = -pb;
    if (pc < 0) pc = -pc;
    raw[i] += pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
  }
}

function join(raw, width, height, step) {
  const values = step === 2 ? new Uint16Array(width * height) : new Uint8Array(width * height);
  const stride = width * step + 1;
  for (let y = 0, to = 0; y < height; y++) {
    const start = y * stride + 1;
    if (step === 1) {
      values.set(raw.subarray(start, start + width), to);
      to += width;
    } else {
      for (let i = start, end = start + width * 2; i < end; i += 2) values[to++] = (raw[i] << 8) | raw[i + 1];
    }
  }
  return values;
}

/** The film and its halves down to about the size of a thumbnail: a small picture is drawn from a small level. */
function pyramid(film) {
  const levels = [{ width: film.width, height: film.height, values: film.values }];
  for (let level = levels[0]; Math.max(level.width, level.height) > SMALLEST_LEVEL; level = levels.at(-1)) {
    levels.push(half(level));
  }
  return levels;
}

function half({ width, height, values }) {
  const w = Math.ceil(width / 2), h = Math.ceil(height / 2);
  const small = new values.constructor(w * h);
  for (let y = 0; y < h; y++) {
    const upper = 2 * y * width;
    const lower = Math.min(2 * y + 1, height - 1) * width;
    for (let x = 0; x < w; x++) {
      const left = 2 * x, right = Math.min(left + 1, width - 1);
      small[y * w + x] = (values[upper + left] + values[upper + right] + values[lower + left] + values[lower + right] + 2) >> 2;
    }
  }
  return { width: w, height: h, values: small };
}

function count({ bits, values }) {
  const histogram = new Uint32Array(2 ** bits);
  for (let i = 0, all = values.length; i < all; i++) histogram[values[i]] += 1;
  return histogram;
}
