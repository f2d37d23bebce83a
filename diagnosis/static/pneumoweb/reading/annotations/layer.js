// Regions on the film's stage: they lie where the film lies, whichever way it is turned. One's own can be moved.
import { NAMES, corners } from "annotations/shapes";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 8; // CSS pixels of an arrow key
const TAG = 24; // CSS pixels: a finger finds it
// At which side of a region a reader's tag stands, so that regions of the same place do not hide whose they are.
const SIDES = { A: { low: true }, B: { low: true, right: true }, C: { right: true } };

function make(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export class Layer {
  /** `regions` are one's own, null where nothing may be drawn; `readers` are the others'. */
  constructor(viewer, regions, readers) {
    Object.assign(this, { viewer, regions, readers, hidden: new Set() });
    this.canvas = viewer.stage.querySelector(".regions");
    this.half = make("path", { class: "half" });
    viewer.root.addEventListener("viewer:view", () => this.place());
    regions?.addEventListener("list", () => this.build());
    regions?.addEventListener("shape", () => this.place());
    regions?.addEventListener("focus", () => this.focus(regions.chosen));
    this.build();
  }

  build() {
    const theirs = this.readers.flatMap((reader) => reader.regions.map((region, n) => this.foreign(reader, region, n)));
    const mine = (this.regions?.all ?? []).map((region, n) => this.own(region, n));
    this.drawn = [...theirs, ...mine];
    this.canvas.replaceChildren(...this.drawn.map(({ group }) => group), this.half);
    this.place();
  }

  foreign(reader, region, n) {
    const name = `${reader.letter}${n + 1}`;
    const group = make("g", {
      class: `region theirs line-${reader.letter}`, role: "img", "data-reader": reader.letter,
      "aria-label": `Region ${name}, ${NAMES[region.kind]}, drawn by ${reader.name}`,
    });
    return this.parts(group, region, name);
  }

  own(region, n) {
    const group = make("g", { class: "region mine", role: "button", tabindex: "0", "data-n": n });
    const drawn = this.parts(group, region, String(n + 1));
    drawn.hit = make("path", { class: "hit" });
    drawn.handles = region.kind === "box" ? [0, 1, 2, 3].map((corner) => make("circle", { class: "handle", r: 6, "data-corner": corner })) : [];
    group.insertBefore(drawn.hit, drawn.tag);
    group.append(...drawn.handles);
    group.addEventListener("pointerdown", (event) => this.hold(event, n));
    group.addEventListener("focus", () => this.regions.choose(n));
    group.addEventListener("keydown", (event) => this.key(event, n));
    return drawn;
  }

  parts(group, region, name) {
    const [under, line] = [make("path", { class: "under" }), make("path", { class: "line" })];
    const width = Math.max(TAG, 10 + name.length * 9);
    const words = make("text", { x: width / 2, y: 17, "text-anchor": "middle" });
    words.textContent = name;
    const tag = make("g", { class: "tag" }, make("rect", { width, height: TAG, rx: 5 }), words);
    group.append(under, line, tag);
    return { group, region, under, line, tag, width };
  }

  // ------------------------------------------------------------ where they are

  path(points, closed = true) {
    const places = points.map(([x, y]) => this.viewer.toStage(x, y)).map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`);
    return `M${places.join("L")}${closed ? "z" : ""}`;
  }

  place() {
    for (const drawn of this.drawn) this.placeOne(drawn);
    const { drawing } = this.regions ?? {};
    this.canvas.classList.toggle("drawing", this.viewer.draws(this.viewer.tool));
    if (!drawing) return this.half.setAttribute("d", "");
    const points = drawing.free ? drawing.points : [...drawing.points, drawing.tip];
    const isBox = drawing.kind === "box";
    this.half.setAttribute("d", this.path(isBox ? corners({ kind: "box", points: points.slice(-2) }) : points, isBox));
  }

  placeOne({ group, region, under, line, tag, width, hit, handles = [] }) {
    const path = this.path(corners(region));
    for (const part of [under, line, hit]) part?.setAttribute("d", path);
    const places = corners(region).map(([x, y]) => this.viewer.toStage(x, y));
    const { clientWidth, clientHeight } = this.viewer.stage;
    const keep = (value, most) => Math.max(0, Math.min(value, most));
    const { low, right } = SIDES[group.dataset.reader] ?? {};
    const [xs, ys] = [places.map((p) => p.x), places.map((p) => p.y)];
    const x = keep(right ? Math.max(...xs) - width : Math.min(...xs), clientWidth - width);
    const y = keep(low ? Math.max(...ys) + 3 : Math.min(...ys) - TAG - 3, clientHeight - TAG);
    tag.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    handles.forEach((handle, n) => {
      handle.setAttribute("cx", places[n].x);
      handle.setAttribute("cy", places[n].y);
    });
    if (group.dataset.reader) return group.classList.toggle("off", this.hidden.has(group.dataset.reader));
    const n = Number(group.dataset.n);
    group.classList.toggle("chosen", n === this.regions.chosen);
    group.setAttribute("aria-label", `Region ${n + 1}, ${this.regions.words(n)}: arrows move it, with Shift they size it, Delete takes it away`);
  }

  focus(n) {
    this.canvas.querySelector(`[data-n="${n}"]`)?.focus({ preventScroll: true });
  }

  // ------------------------------------------------------------ moving one's own

  hold(event, n) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation(); // else the viewer would use its tool
    const { viewer, regions } = this;
    this.focus(n);
    regions.choose(n);
    const from = structuredClone(regions.all[n]);
    const corner = event.target.dataset.corner;
    const [x, y] = [event.clientX, event.clientY];
    const { target } = event;
    const drag = (now) => {
      now.stopPropagation();
      const at = viewer.toFilm(now.clientX, now.clientY);
      if (corner === undefined) regions.shift(n, now.clientX - x, now.clientY - y, from);
      else regions.corner(n, Number(corner), [at.x, at.y], from);
    };
    const drop = () => {
      target.removeEventListener("pointermove", drag);
      for (const kind of ["pointerup", "pointercancel"]) target.removeEventListener(kind, drop);
    };
    target.setPointerCapture(event.pointerId);
    target.addEventListener("pointermove", drag);
    for (const kind of ["pointerup", "pointercancel"]) target.addEventListener(kind, drop);
  }

  key(event, n) {
    if (window.pneumowebKeys.elsewhere(event)) return;
    const arrow = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (arrow && event.shiftKey) this.regions.grow(n, ...arrow);
    else if (arrow) this.regions.shift(n, ...arrow);
    else if (event.key === "Delete" || event.key === "Backspace") this.removeFocused(n);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  removeFocused(n) {
    this.regions.remove(n);
    if (this.regions.chosen === null) this.viewer.stage.focus({ preventScroll: true });
    else this.focus(this.regions.chosen);
  }

  // ------------------------------------------------------------ the others'

  show(letter, on) {
    if (on) this.hidden.delete(letter);
    else this.hidden.add(letter);
    this.place();
  }
}
