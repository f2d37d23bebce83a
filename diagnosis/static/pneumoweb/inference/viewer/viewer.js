// One film on a canvas: zoom, pan, window, orientation, heatmap. Buttons and keys are in controls.js.
//
// The element of a viewer carries it as `element.viewer`. It is `loading` until the film is there, which "viewer:ready"
// tells, or cannot be had. It sends "viewer:view" when the film has moved on the screen and "viewer:change" when a
// person changed something (linked viewers follow that). `toFilm(clientX, clientY)` and `toClient(x, y)` translate
// between screen and film pixels.
// Whoever draws on the film sets a `tool` of their own, say "box": then one finger or the left button is theirs, and
// "viewer:box" tells where on the film a drag begins, goes and ends, while the wheel and two fingers still zoom. A drag
// that turns out to be two fingers is told as "cancel". With `tool = "none"` nothing is told.
import { Picture } from "viewer/picture";

const CLOSEST = 32; // screen pixels to one of the film
const FARTHEST = 0.5; // of the size that fits
const OWN = ["window", "pan", "zoom", "pinch", "none"]; // what the viewer itself does with a drag
const OPAQUE = 0.75; // opacity of the heatmap's strongest evidence, as ml/heatmap.py stores it
// This module runs before others of its page; a film that came sooner than they would find nobody who listens.
const everyScript = new Promise((done) => { document.addEventListener("DOMContentLoaded", done, { once: true }); });

async function fetchFilm(address) {
  const response = await fetch(address, { credentials: "same-origin" });
  if (response.redirected) throw new Error("Your session has ended. Log in again.");
  if (response.status === 503) throw new Error("The storage of films does not answer.");
  if (!response.ok) throw new Error(`The film could not be loaded (${response.status}).`);
  return response.arrayBuffer();
}

export class Viewer {
  constructor(root) {
    this.root = root;
    root.viewer = this;
    this.facts = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    this.stage = root.querySelector(".viewer-stage");
    this.film = root.querySelector("canvas.viewer-film");
    this.heat = root.querySelector("canvas.viewer-heat");
    this.scratch = document.createElement("canvas");
    this.pencil = this.scratch.getContext("2d", { willReadFrequently: true });
    this.heatPicture = document.createElement("canvas");
    this.picture = null;
    this.loading = true;
    this.tool = "window";
    this.width = this.facts.width;
    this.height = this.facts.height;
    this.pointers = new Map();
    this.turn = [1, 0, 0, 1];
    this.inverted = false;
    this.threshold = 0;
    this.fitting = true;
    this.scale = 1;
    this.x = this.width / 2;
    this.y = this.height / 2;
    new ResizeObserver(() => this.resized()).observe(this.stage);
    this.listen();
  }

  // ------------------------------------------------------------ loading

  load() {
    const worker = new Worker(this.root.dataset.worker);
    const started = performance.now();
    worker.addEventListener("message", async ({ data }) => {
      worker.terminate();
      await everyScript;
      if (data.error) this.loadPlainly(data.error);
      else this.arrived(data, started);
    });
    worker.addEventListener("error", (event) => {
      worker.terminate();
      this.loadPlainly(event.message);
    });
    // Here, not in the worker: this is the request that the page's preload has begun.
    fetchFilm(this.root.dataset.values).then(
      (bytes) => worker.postMessage(bytes, [bytes]),
      (error) => {
        worker.terminate();
        this.loadPlainly(error.message);
      },
    );
    this.loadHeatmap();
  }

  arrived(data, started) {
    this.picture = new Picture(data, this.facts);
    this.loading = false;
    this.window = { ...this.picture.presets.own };
    this.preset = "own";
    this.resized();
    this.paint();
    this.root.classList.add("live");
    this.root.dataset.milliseconds = Math.round(performance.now() - started);
    this.send("viewer:ready");
  }

  /** What an old browser can do: its own decoder, and so 8 bits. Said, because it matters when windowing. */
  async loadPlainly(why) {
    console.warn("the film is shown at 8 bits:", why);
    await everyScript;
    try {
      const picture = new Image();
      picture.src = this.root.dataset.plain;
      await picture.decode();
      const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
      const pencil = canvas.getContext("2d");
      pencil.drawImage(picture, 0, 0);
      const rgba = pencil.getImageData(0, 0, canvas.width, canvas.height).data;
      const values = new Uint8Array(canvas.width * canvas.height).map((_, i) => rgba[i * 4]);
      const histogram = new Uint32Array(256);
      for (const value of values) histogram[value] += 1;
      this.facts = { ...this.facts, slope: 1, offset: 0, inverse: false, modality: false, window: null };
      this.arrived({ bits: 8, histogram, levels: [{ width: canvas.width, height: canvas.height, values }] }, performance.now());
      this.say("This browser shows 8 bits of the film. A newer one shows all of them.");
    } catch {
      this.loading = false;
      // Where the storage is away, the small copy is not there either.
      const copy = this.stage.querySelector(".viewer-first").naturalWidth ? "The small copy is shown. " : "";
      this.say(`${why} ${copy}Load the page again in a moment.`);
    }
  }

  /** The heatmap may arrive later than the page: the answer's fragment brings its address. */
  async loadHeatmap() {
    const address = this.root.dataset.heatmap || this.root.querySelector(".overlay image")?.getAttribute("href");
    if (!address || address === this.heatAddress) return;
    this.heatAddress = address;
    const picture = new Image();
    picture.src = address;
    try {
      await picture.decode();
    } catch {
      this.say("The heatmap could not be loaded. Load the page again.");
      return;
    }
    const [w, h] = [picture.naturalWidth, picture.naturalHeight];
    Object.assign(this.heatPicture, { width: w, height: h });
    const pencil = this.heatPicture.getContext("2d", { willReadFrequently: true });
    pencil.drawImage(picture, 0, 0);
    this.heatSource = pencil.getImageData(0, 0, w, h);
    this.setThreshold(this.threshold);
    this.send("viewer:heatmap");
  }

  say(text) {
    const line = this.root.querySelector(".viewer-said");
    line.textContent = text;
    line.hidden = !text;
  }

  send(name, detail = {}) {
    this.root.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }

  // ------------------------------------------------------------ where things are

  resized() {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [this.stage.clientWidth, this.stage.clientHeight];
    if (!w || !h) return;
    for (const canvas of [this.film, this.heat]) {
      Object.assign(canvas, { width: Math.round(w * ratio), height: Math.round(h * ratio) });
    }
    this.ratio = ratio;
    if (this.fitting) this.scale = this.fitScale();
    this.paint();
  }

  fitScale() {
    const [a] = this.turn;
    const [w, h] = a === 0 ? [this.height, this.width] : [this.width, this.height];
    return Math.min(this.stage.clientWidth / w, this.stage.clientHeight / h);
  }

  /** Film pixels under a place of the window, such as a pointer's clientX and clientY. */
  toFilm(clientX, clientY) {
    const box = this.stage.getBoundingClientRect();
    const u = (clientX - box.left - this.stage.clientLeft - this.stage.clientWidth / 2) / this.scale;
    const v = (clientY - box.top - this.stage.clientTop - this.stage.clientHeight / 2) / this.scale;
    const [a, b, c, d] = this.turn;
    return { x: this.x + a * u + c * v, y: this.y + b * u + d * v };
  }

  /** The place on the stage, in CSS pixels from its corner, of a place on the film. */
  toStage(x, y) {
    const [a, b, c, d] = this.turn;
    const [u, v] = [(x - this.x) * this.scale, (y - this.y) * this.scale];
    return { x: this.stage.clientWidth / 2 + a * u + b * v, y: this.stage.clientHeight / 2 + c * u + d * v };
  }

  /** What a way on the screen, in CSS pixels, is on the film, in its pixels. */
  alongFilm(dx, dy) {
    const [a, b, c, d] = this.turn;
    return [(a * dx + c * dy) / this.scale, (b * dx + d * dy) / this.scale];
  }

  toClient(x, y) {
    const box = this.stage.getBoundingClientRect();
    const place = this.toStage(x, y);
    return { x: place.x + box.left + this.stage.clientLeft, y: place.y + box.top + this.stage.clientTop };
  }

  // ------------------------------------------------------------ what a person does

  /** Make a change and tell what it was, in shares of the film, so that a linked film of another size can follow. */
  move(change) {
    const before = { x: this.x, y: this.y, scale: this.scale };
    change();
    this.scale = Math.min(CLOSEST, Math.max(this.fitScale() * FARTHEST, this.scale));
    this.x = Math.min(this.width, Math.max(0, this.x));
    this.y = Math.min(this.height, Math.max(0, this.y));
    this.fitting = false;
    this.paint();
    this.send("viewer:change", {
      zoom: this.scale / before.scale,
      dx: (this.x - before.x) / this.width,
      dy: (this.y - before.y) / this.height,
    });
  }

  /** Zoom by a factor; the film stays where it is at a place of the window (the stage's middle without one). */
  zoom(factor, clientX, clientY) {
    this.move(() => {
      const old = this.scale;
      const scale = Math.min(CLOSEST, Math.max(this.fitScale() * FARTHEST, old * factor));
      if (clientX !== undefined) {
        const held = this.toFilm(clientX, clientY);
        this.x = held.x - (held.x - this.x) * (old / scale);
        this.y = held.y - (held.y - this.y) * (old / scale);
      }
      this.scale = scale;
    });
  }

  /** Move the film by CSS pixels of the screen. */
  pan(dx, dy) {
    const [a, b, c, d] = this.turn;
    this.move(() => {
      this.x -= (a * dx + c * dy) / this.scale;
      this.y -= (b * dx + d * dy) / this.scale;
    });
  }

  fit(tell = true) {
    this.fitting = true;
    [this.x, this.y] = [this.width / 2, this.height / 2];
    this.scale = this.fitScale();
    this.paint();
    if (tell) this.send("viewer:change", { fit: true });
  }

  oneToOne() {
    this.zoom(1 / this.ratio / this.scale);
  }

  /** Drag of the window: right is wider, which is less contrast; down is a higher centre, which is darker. */
  dragWindow(dx, dy) {
    if (!this.picture) return;
    const range = this.picture.presets.full.width;
    this.setWindow(this.window.centre + (dy * range) / 600, this.window.width + (dx * range) / 600);
  }

  setWindow(centre, width, tell = true) {
    if (!this.picture) return;
    const range = this.picture.presets.full.width;
    const before = this.window;
    const least = Math.min(1, range / 64);
    this.window = { ...before, centre, width: Math.min(range * 4, Math.max(least, width)) };
    this.preset = "";
    this.paint();
    if (tell) {
      const shift = (this.window.centre - before.centre) / range;
      this.send("viewer:change", { shift, stretch: this.window.width / before.width });
    }
  }

  usePreset(name, tell = true) {
    const preset = this.picture?.presets[name];
    if (!preset) return;
    this.window = { ...preset };
    this.preset = name;
    this.paint();
    if (tell) this.send("viewer:change", { preset: name });
  }

  invert(on = !this.inverted, tell = true) {
    this.inverted = on;
    this.paint();
    if (tell) this.send("viewer:change", { inverted: on });
  }

  /** Turn what one sees: "right", "left", or its mirror image "mirror" (left and right), "flip" (top and bottom). */
  orient(how, tell = true) {
    const [p, q, r, s] = { right: [0, -1, 1, 0], left: [0, 1, -1, 0], mirror: [-1, 0, 0, 1], flip: [1, 0, 0, -1] }[how];
    const [a, b, c, d] = this.turn;
    this.turn = [p * a + q * c, p * b + q * d, r * a + s * c, r * b + s * d];
    if (this.fitting) this.scale = this.fitScale();
    this.paint();
    if (tell) this.send("viewer:change", { orient: how });
  }

  /** How the film is looked at, to be kept and given back to `look`. */
  get sight() {
    const { scale, x, y, turn, inverted, fitting, preset, window } = this;
    return { scale, x, y, turn, inverted, fitting, preset, window };
  }

  /** Look at the film as it was looked at before, once it is there. */
  look(sight) {
    Object.assign(this, sight);
    this.resized();
  }

  get upright() {
    return this.turn.join() === "1,0,0,1";
  }

  reset(tell = true) {
    this.turn = [1, 0, 0, 1];
    this.inverted = false;
    this.usePreset("own", false);
    this.fit(false);
    this.send("viewer:reset");
    if (tell) this.send("viewer:change", { reset: true });
  }

  /** Do what was done to a linked viewer; say nothing of it, or the two would never end. */
  follow(change) {
    if (change.reset) this.reset(false);
    else if (change.fit) this.fit(false);
    else if (change.preset) this.usePreset(change.preset, false);
    else if (change.orient) this.orient(change.orient, false);
    else if ("inverted" in change) this.invert(change.inverted, false);
    else if (change.stretch && this.picture) {
      const centre = this.window.centre + change.shift * this.picture.presets.full.width;
      this.setWindow(centre, this.window.width * change.stretch, false);
    } else if (change.zoom) {
      this.fitting = false;
      this.scale *= change.zoom;
      this.x += change.dx * this.width;
      this.y += change.dy * this.height;
      this.paint();
    }
  }

  // ------------------------------------------------------------ heatmap

  setOpacity(share) {
    this.heat.style.opacity = share;
  }

  /** Hide evidence weaker than `share` (0 to 1). How strong it is stands in the picture's opacity. */
  setThreshold(share) {
    this.threshold = share;
    if (!this.heatSource) return;
    const { width, height, data } = this.heatSource;
    const shown = new ImageData(new Uint8ClampedArray(data), width, height);
    const least = share * OPAQUE * 255;
    for (let i = 3; i < shown.data.length; i += 4) if (shown.data[i] < least) shown.data[i] = 0;
    this.heatPicture.getContext("2d").putImageData(shown, 0, 0);
    this.paint();
  }

  // ------------------------------------------------------------ drawing

  paint() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.picture && this.ratio) {
        this.paintFilm();
        this.paintHeat();
      }
      this.send("viewer:view");
    });
  }

  place(pencil) {
    const [a, b, c, d] = this.turn;
    const k = this.scale * this.ratio;
    const { width, height } = pencil.canvas;
    pencil.setTransform(1, 0, 0, 1, 0, 0);
    pencil.clearRect(0, 0, width, height);
    const e = width / 2 - k * (a * this.x + b * this.y);
    const f = height / 2 - k * (c * this.x + d * this.y);
    pencil.setTransform(k * a, k * c, k * b, k * d, e, f);
    pencil.beginPath();
    pencil.rect(0, 0, this.width, this.height);
  }

  /** Only what is on the screen is windowed, from the level nearest in size: the work does not grow with the film. */
  paintFilm() {
    const table = this.picture.lookup(this.window, this.inverted);
    const number = this.picture.levelFor(1 / (this.scale * this.ratio));
    const level = this.picture.levels[number];
    const step = 2 ** number;
    const area = this.visible(level, step);
    const pencil = this.film.getContext("2d", { alpha: false });
    this.place(pencil);
    if (area.w <= 0 || area.h <= 0) return;
    this.window8bit(level, area, table);
    pencil.save();
    pencil.clip();
    pencil.imageSmoothingEnabled = this.scale * this.ratio < 6; // closer, one wants to see the film's own pixels
    pencil.drawImage(this.scratch, 0, 0, area.w, area.h, area.x * step, area.y * step, area.w * step, area.h * step);
    pencil.restore();
  }

  visible(level, step) {
    const box = this.stage.getBoundingClientRect();
    const corners = [[box.left, box.top], [box.right, box.bottom]].map(([x, y]) => this.toFilm(x, y));
    const [x0, x1] = [corners[0].x, corners[1].x].sort((p, q) => p - q);
    const [y0, y1] = [corners[0].y, corners[1].y].sort((p, q) => p - q);
    const x = Math.max(0, Math.floor(x0 / step) - 1), y = Math.max(0, Math.floor(y0 / step) - 1);
    return {
      x, y,
      w: Math.min(level.width, Math.ceil(x1 / step) + 1) - x,
      h: Math.min(level.height, Math.ceil(y1 / step) + 1) - y,
    };
  }

  window8bit(level, area, table) {
    const { w, h } = area;
    if (!this.greys || this.greys.length < w * h) this.greys = new Uint32Array(w * h);
    const { greys } = this;
    for (let y = 0, to = 0; y < h; y++) {
      const from = (area.y + y) * level.width + area.x;
      for (let i = from; i < from + w; i++) greys[to++] = table[level.values[i]];
    }
    if (this.scratch.width < w || this.scratch.height < h) Object.assign(this.scratch, { width: w, height: h });
    this.pencil.putImageData(new ImageData(new Uint8ClampedArray(greys.buffer, 0, w * h * 4), w, h), 0, 0);
  }

  paintHeat() {
    if (!this.heatSource) return;
    const pencil = this.heat.getContext("2d");
    this.place(pencil);
    pencil.imageSmoothingEnabled = true;
    pencil.drawImage(this.heatPicture, 0, 0, this.width, this.height);
  }

  // ------------------------------------------------------------ mouse, pen and fingers

  listen() {
    const { stage } = this;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, (event) => this.up(event));
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", () => { if (this.tool === "window" || this.tool === "pan") this.fit(); });
    document.addEventListener("htmx:oobAfterSwap", () => this.loadHeatmap());
  }

  /** What a drag does: the left button or one finger uses the tool, the middle one pans, the right one zooms. */
  toolOf(event) {
    if (event.button === 1 || (event.button === 0 && event.shiftKey && this.tool === "window")) return "pan";
    return event.button === 2 ? "zoom" : this.tool;
  }

  /** Whether a tool is that of somebody who draws on the film. */
  draws(tool) {
    return Boolean(tool) && !OWN.includes(tool);
  }

  /** Tell whoever draws what the pointer does; without an event, that it does it no more. */
  tell(phase, event) {
    if (this.draws(this.doing)) this.send(`viewer:${this.doing}`, { phase, ...(event && this.toFilm(event.clientX, event.clientY)) });
  }

  down(event) {
    const doing = this.pointers.size === 1 ? "pinch" : this.toolOf(event);
    if (doing === "pinch") this.tell("cancel");
    if (doing === "none" && event.pointerType !== "touch") return;
    this.stage.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size <= 2) this.doing = doing;
    if (doing !== "none") this.stage.setPointerCapture(event.pointerId);
    this.tell("start", event);
    if (event.button === 1) event.preventDefault();
  }

  drag(event) {
    const held = this.pointers.get(event.pointerId);
    this.send("viewer:pointer", this.toFilm(event.clientX, event.clientY));
    if (!held) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (this.doing === "pinch") this.pinch(event);
    else if (this.doing === "window") this.dragWindow(dx, dy);
    else if (this.doing === "pan") this.pan(dx, dy);
    else if (this.doing === "zoom") this.zoom(Math.exp(-dy * 0.008));
    else this.tell("move", event);
    Object.assign(held, { x: event.clientX, y: event.clientY });
  }

  pinch(event) {
    if (this.pointers.size < 2) return;
    const [first, second] = [...this.pointers.entries()];
    const other = first[0] === event.pointerId ? second[1] : first[1];
    const held = this.pointers.get(event.pointerId);
    const away = (a) => Math.max(Math.hypot(a.x - other.x, a.y - other.y), 1);
    const now = { x: event.clientX, y: event.clientY };
    this.zoom(away(now) / away(held), (now.x + other.x) / 2, (now.y + other.y) / 2);
    this.pan((now.x - held.x) / 2, (now.y - held.y) / 2);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointercancel") this.tell("cancel");
    else this.tell("end", event);
    if (this.pointers.size === 0) this.doing = null;
  }
}
