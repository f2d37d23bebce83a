// A film's values and what a window makes of them. Everything a person reads is in the values of the source:
// value = stored * slope + offset.

/** Dark below, bright above: DICOM PS3.3 C.11.2.1.2 (LINEAR, LINEAR_EXACT) and C.11.2.1.3.1 (SIGMOID). 0 to 1. */
const FUNCTIONS = {
  LINEAR: (x, c, w) => (x - (c - 0.5)) / Math.max(w - 1, 1e-9) + 0.5,
  LINEAR_EXACT: (x, c, w) => (x - c) / w + 0.5,
  SIGMOID: (x, c, w) => 1 / (1 + Math.exp((-4 * (x - c)) / w)),
};

export class Picture {
  /** `levels`, `histogram` and `bits` are those of decode.js; `facts` come from the page. */
  constructor({ levels, histogram, bits }, facts) {
    this.levels = levels;
    this.width = levels[0].width;
    this.height = levels[0].height;
    this.histogram = histogram;
    this.slope = facts.slope;
    this.offset = facts.offset;
    this.dark = facts.inverse; // MONOCHROME1: the highest value is black
    this.top = 2 ** bits - 1;
    this.table = new Uint32Array(this.top + 1);
    this.tableOf = "";
    this.presets = this.makePresets(facts);
  }

  shown(stored) {
    return stored * this.slope + this.offset;
  }

  /** The film's value at whole film coordinates, null outside. */
  valueAt(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= this.width || row >= this.height) return null;
    return this.shown(this.levels[0].values[row * this.width + column]);
  }

  /** A radiograph has no fixed scale as CT has, so lung and bone are shares of this film's own values. */
  makePresets(facts) {
    const between = (low, high) => {
      const [a, b] = this.dark ? [1 - high, 1 - low] : [low, high];
      return span(this.percentile(a), this.percentile(b));
    };
    const used = span(...this.used().map((stored) => this.shown(stored)));
    const stored = facts.modality ? used : span(this.shown(0), this.shown(this.top));
    const own = facts.window && { centre: facts.window.center, width: facts.window.width, kind: facts.window.function };
    return {
      own: own ? { name: facts.window.source === "file" ? "The file's own" : "As stored", ...own } : { name: "As stored", ...stored },
      full: { name: "All values", ...used },
      contrast: { name: "More contrast", ...between(0.02, 0.98) },
      lung: { name: "Lung", ...between(0.01, 0.6) },
      bone: { name: "Bone and mediastinum", ...between(0.4, 0.999) },
    };
  }

  used() {
    const low = this.histogram.findIndex((n) => n > 0);
    let high = this.histogram.length - 1;
    while (high > low && this.histogram[high] === 0) high -= 1;
    return [low, high];
  }

  /** The value below which `share` of the film lies; borders of the lowest and highest value do not count. */
  percentile(share) {
    const [low, high] = this.used();
    const [from, to] = high - low > 2 ? [low + 1, high - 1] : [low, high];
    let total = 0;
    for (let i = from; i <= to; i++) total += this.histogram[i];
    if (total === 0) return this.shown(share < 0.5 ? low : high);
    let seen = 0;
    for (let i = from; i <= to; i++) {
      seen += this.histogram[i];
      if (seen >= share * total) return this.shown(i);
    }
    return this.shown(to);
  }

  /** A grey of 8 bits, packed as RGBA, for each stored value. Kept until the window changes. */
  lookup({ centre, width, kind }, inverted) {
    const asked = `${centre} ${width} ${kind} ${inverted}`;
    if (asked === this.tableOf) return this.table;
    this.tableOf = asked;
    const grey = FUNCTIONS[kind] ?? FUNCTIONS.LINEAR;
    const turned = inverted !== this.dark;
    for (let i = 0; i <= this.top; i++) {
      const share = Math.min(1, Math.max(0, grey(this.shown(i), centre, width)));
      const g = Math.round((turned ? 1 - share : share) * 255);
      this.table[i] = 0xff000000 | (g << 16) | (g << 8) | g;
    }
    return this.table;
  }

  /** The level whose pixels are at least as fine as `density` film pixels to one of the screen. */
  levelFor(density) {
    return Math.max(0, Math.min(this.levels.length - 1, Math.floor(Math.log2(density) + 1e-6)));
  }
}

function span(low, high) {
  const width = Math.max(high - low, 1);
  return { centre: low + width / 2, width, kind: "LINEAR_EXACT" };
}
