// Distances on the film: drawn with pointer or keys, kept on the page only, never stored.
const SVG = "http://www.w3.org/2000/svg";
const SHORTEST = 4; // CSS pixels; less is a click, not a distance
const BARS = [5, 10, 20, 50, 100, 200]; // mm

export class Measure {
  constructor(viewer) {
    this.viewer = viewer;
    this.marks = viewer.root.querySelector(".viewer-marks");
    this.lines = [];
    this.drawn = null; // the line whose second end is not set yet
    this.pressed = null; // where the pointer went down
    const { root } = viewer;
    root.addEventListener("viewer:measure", ({ detail }) => this[detail.phase](detail));
    root.addEventListener("viewer:pointer", ({ detail }) => this.move(detail));
    root.addEventListener("viewer:view", () => this.paint());
    root.addEventListener("viewer:reset", () => this.clear());
  }

  // A line is drawn by a drag, or by a click at each end.

  start({ x, y }) {
    this.pressed = { x, y };
    if (!this.drawn) {
      this.drawn = { from: { x, y }, to: { x, y } };
      this.lines.push(this.drawn);
    }
    this.move({ x, y });
  }

  move({ x, y }) {
    if (!this.drawn) return;
    this.drawn.to = { x, y };
    this.paint();
  }

  end() {
    const { drawn } = this;
    if (!drawn) return;
    const first = this.pressed.x === drawn.from.x && this.pressed.y === drawn.from.y;
    if (this.length(drawn) >= SHORTEST) {
      this.drawn = null;
      this.viewer.say(`Distance: ${this.words(drawn)}.`);
    } else if (!first) {
      this.cancel();
    }
    this.paint();
  }

  cancel() {
    if (this.drawn) this.lines.pop();
    this.drawn = null;
    this.paint();
  }

  /** Take all lines away; false where there are none. */
  clear() {
    if (!this.lines.length) return false;
    Object.assign(this, { lines: [], drawn: null });
    this.viewer.say("");
    this.paint();
    return true;
  }

  /** Take the last line away; false where there is none. */
  removeLast() {
    if (!this.lines.length) return false;
    this.lines.pop();
    this.drawn = null;
    this.viewer.say(this.lines.length ? "" : "No distances are left.");
    this.paint();
    return true;
  }

  /** CSS pixels on the screen. */
  length({ from, to }) {
    return Math.hypot(to.x - from.x, to.y - from.y) * this.viewer.scale;
  }

  /** Millimetres where the size of a pixel is known, else pixels. */
  words({ from, to }) {
    const spacing = this.viewer.facts.spacing;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    if (!spacing) return `${Math.round(Math.hypot(dx, dy))} pixels`;
    const length = Math.hypot(dx * spacing.column, dy * spacing.row);
    return `${length.toFixed(1)} mm${spacing.detector ? " at the detector" : ""}`;
  }

  paint() {
    if (this.drawn && this.viewer.tool !== "measure") return void this.cancel();
    const shapes = this.lines.flatMap((line) => this.shapesOf(line));
    this.marks.replaceChildren(...shapes, ...this.bar());
  }

  shapesOf(line) {
    const [p, q] = [line.from, line.to].map(({ x, y }) => this.viewer.toStage(x, y));
    const at = { x1: p.x, y1: p.y, x2: q.x, y2: q.y };
    const right = q.x >= p.x;
    const text = shape("text", { x: q.x + (right ? 8 : -8), y: q.y - 8, "text-anchor": right ? "start" : "end" });
    text.textContent = this.words(line);
    const ends = [p, q].map(({ x, y }) => shape("circle", { cx: x, cy: y, r: 3.5 }));
    return [shape("line", { ...at, class: "under" }), shape("line", at), ...ends, text];
  }

  /** A bar of round length, about a fifth of the picture. */
  bar() {
    const { viewer } = this;
    const { spacing } = viewer.facts;
    if (!spacing || !viewer.picture) return [];
    const perMillimetre = viewer.scale / (viewer.turn[0] === 0 ? spacing.row : spacing.column);
    const room = viewer.stage.clientWidth / 4;
    const length = BARS.findLast((mm) => mm * perMillimetre <= room);
    if (!length) return [];
    const [w, h] = [length * perMillimetre, viewer.stage.clientHeight];
    const x = viewer.stage.clientWidth - w - 16;
    const text = shape("text", { x: x + w, y: h - 22, "text-anchor": "end" });
    text.textContent = `${length >= 10 ? `${length / 10} cm` : `${length} mm`}${spacing.detector ? " at the detector" : ""}`;
    const path = `M${x} ${h - 18}v6h${w}v-6`;
    return [shape("path", { class: "under", d: path }), shape("path", { d: path }), text];
  }
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
