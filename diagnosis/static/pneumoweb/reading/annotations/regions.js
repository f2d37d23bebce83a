// The regions that a reader draws: by a drag, by clicks from point to point, or by a cross and Enter (viewer/cross.js).
import { MOST_POINTS, NAMES, cornered, kept, moved, size, sized } from "annotations/shapes";

const MOST = 20;
const CLICK = 4; // CSS pixels; a drag is longer
const CLOSE = 12; // CSS pixels from the first point: the contour is closed there
const APART = 3; // CSS pixels between two points of a contour that is drawn by a drag
const HINTS = {
  box: "Drag a box, or click at two of its corners. Two fingers zoom and move.",
  outline: "Drag around it, or click from point to point and end at the first one.",
};

export class Regions extends EventTarget {
  /** `field` is the form's, which sends them. */
  constructor(viewer, field) {
    super();
    Object.assign(this, { viewer, field, chosen: null, drawing: null });
    this.all = JSON.parse(field.value || "null") ?? [];
    const { controls, root } = viewer;
    for (const kind of Object.keys(NAMES)) {
      root.addEventListener(`viewer:${kind}`, ({ detail }) => this[detail.phase](kind, [detail.x, detail.y]));
      controls.hints[kind] = () => HINTS[kind];
    }
    controls.add({ box: () => this.useTool("box"), outline: () => this.useTool("outline"), add: () => this.add() });
    controls.drawers.push(this);
    root.addEventListener("viewer:pointer", ({ detail }) => this.hover([detail.x, detail.y]));
    root.addEventListener("viewer:view", () => this.drawing && this.drawing.kind !== viewer.tool && this.clear());
    this.store();
  }

  /** Choose the tool, or put it away again. */
  useTool(kind) {
    this.viewer.controls.useTool(this.viewer.tool === kind ? "window" : kind);
  }

  /** Tell whoever shows the regions: "list" where there are others now, "shape" where one has changed. */
  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  store() {
    this.field.value = this.all.length ? JSON.stringify(this.all) : "";
  }

  apart([x, y], [u, v]) {
    return Math.hypot(x - u, y - v) * this.viewer.scale;
  }

  words(n) {
    const region = this.all[n];
    return `${NAMES[region.kind]}, ${size(region, this.viewer.facts.spacing)}`;
  }

  // ------------------------------------------------------------ drawing

  start(kind, at) {
    const fresh = this.drawing?.kind !== kind;
    if (fresh) this.drawing = { kind, points: [at], tip: at };
    Object.assign(this.drawing, { pressed: at, fresh, free: false });
    this.hover(at);
  }

  move(kind, at) {
    const { drawing } = this;
    if (kind !== "outline" || !drawing) return;
    drawing.free ||= this.apart(drawing.pressed, at) >= CLICK;
    if (!drawing.free || this.apart(drawing.points.at(-1), at) < APART) return;
    drawing.points.push(at);
    if (drawing.points.length >= MOST_POINTS) drawing.points = drawing.points.filter((_, n) => n % 2 === 0);
  }

  end(kind, at) {
    const { drawing } = this;
    if (!drawing) return;
    const dragged = this.apart(drawing.pressed, at) >= CLICK;
    if (kind === "box" ? dragged || !drawing.fresh : drawing.free) return this.finish(kind === "box" ? at : null);
    if (drawing.fresh) return this.viewer.say(kind === "box" ? "Now its opposite corner." : "Now the next point.");
    const [first, last] = [drawing.points[0], drawing.points.at(-1)];
    const closes = this.apart(first, at) <= CLOSE || this.apart(last, at) <= CLICK;
    if (closes && drawing.points.length > 2) return this.finish();
    if (this.apart(last, at) > CLICK) drawing.points.push(at);
    this.viewer.say(drawing.points.length > 2 ? "Click at the first point, or twice at the last, to end." : "Now the next point.");
    if (drawing.points.length >= MOST_POINTS) this.finish();
  }

  /** It was two fingers: what the first one began is undone. */
  cancel() {
    if (this.drawing?.fresh) this.clear();
  }

  hover(at) {
    if (!this.drawing) return;
    this.drawing.tip = at;
    this.tell("shape");
  }

  finish(last = null) {
    const { kind, points } = this.drawing;
    this.drawing = null;
    const region = kept({ kind, points: last ? [points[0], last] : points }, this.viewer);
    if (region) this.push([region]);
    else this.viewer.say("That is too small to be a region. Draw it larger.");
    this.tell("shape");
  }

  /** Leave what is half drawn undrawn; false where nothing is. */
  clear() {
    if (!this.drawing) return false;
    this.drawing = null;
    this.viewer.say("");
    this.tell("shape");
    return true;
  }

  /** Take the last point back; false where nothing is half drawn. */
  removeLast() {
    if (!this.drawing) return false;
    this.drawing.points.pop();
    if (!this.drawing.points.length) return this.clear();
    this.tell("shape");
    return true;
  }

  // ------------------------------------------------------------ what is drawn

  push(regions) {
    const room = MOST - this.all.length;
    this.all.push(...structuredClone(regions.slice(0, room)));
    this.chosen = this.all.length - 1;
    this.store();
    this.tell("list");
    const said = `Region ${this.all.length}: ${this.words(this.chosen)}.`;
    this.viewer.say(regions.length > room ? `A film takes ${MOST} regions. Take one away first.` : said);
  }

  /** A box in the middle of what is on the screen, to be moved by keys. */
  add() {
    const { viewer } = this;
    const [w, h] = [viewer.stage.clientWidth, viewer.stage.clientHeight].map((side) => side / viewer.scale / 10);
    const reach = Math.min(w, h, viewer.width / 10, viewer.height / 10);
    const at = { x: Math.min(viewer.width - reach, Math.max(reach, viewer.x)), y: Math.min(viewer.height - reach, Math.max(reach, viewer.y)) };
    this.push([kept({ kind: "box", points: [[at.x - reach, at.y - reach], [at.x + reach, at.y + reach]] }, viewer)]);
    this.tell("focus");
  }

  choose(n) {
    if (n === this.chosen) return;
    this.chosen = n;
    this.tell("shape");
  }

  remove(n) {
    this.all.splice(n, 1);
    this.chosen = this.all.length ? Math.min(n, this.all.length - 1) : null;
    this.store();
    this.tell("list");
    this.viewer.say(`Region ${n + 1} is taken away.`);
  }

  reshape(n, points) {
    this.all[n].points = points;
    this.store();
    this.tell("shape");
  }

  /** Move by CSS pixels as they are seen, however the film lies. */
  shift(n, dx, dy, from = this.all[n]) {
    this.reshape(n, moved(from, this.viewer.alongFilm(dx, dy), this.viewer));
  }

  /** Let the right (dx) or lower (dy) side, as they are seen, grow by CSS pixels. */
  grow(n, dx, dy) {
    const { viewer } = this;
    const seen = viewer.alongFilm(dx ? 1 : 0, dy ? 1 : 0); // where the film goes to the right, or down
    const side = Math.abs(seen[0]) > Math.abs(seen[1]) ? 0 : 1;
    this.reshape(n, sized(this.all[n], side, (dx + dy) / viewer.scale, seen[side] > 0, viewer));
  }

  corner(n, corner, place, from) {
    this.reshape(n, cornered(from, corner, place, this.viewer));
  }
}
