// Buttons, sliders and keys of one viewer.
import { isElsewhere, lettersAreOff, switchLetters } from "viewer/keys";
import { Measure } from "viewer/measure";

const STEP = 60; // CSS pixels that an arrow key pans
const NARROWER = 0.85;
const TOOLS = { w: "window", g: "pan", m: "measure" };
const PRESETS = { 1: "own", 2: "full", 3: "contrast", 4: "lung", 5: "bone" };
const HEAT_STEP = 5;

export class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    this.root = viewer.root;
    this.measure = new Measure(viewer);
    this.help = this.root.querySelector("dialog");
    this.heatShown = true;
    this.wire();
    this.showHeat();
  }

  find(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  wire() {
    const { root, viewer } = this;
    root.addEventListener("click", ({ target }) => this.run(target.closest("button[data-do]")?.dataset.do));
    root.querySelector("[data-preset]").addEventListener("change", ({ target }) => viewer.usePreset(target.value));
    const [opacity, threshold] = [root.querySelector("[data-opacity]"), root.querySelector("[data-threshold]")];
    opacity.addEventListener("input", () => { this.heatShown = true; this.showHeat(); });
    threshold.addEventListener("input", () => this.showThreshold());
    root.addEventListener("viewer:ready", () => this.ready());
    root.addEventListener("viewer:view", () => this.show());
    root.addEventListener("viewer:pointer", ({ detail }) => this.showValue(detail));
    root.addEventListener("viewer:heatmap", () => this.showHeat());
    document.addEventListener("htmx:oobAfterSwap", () => this.showHeat());
    document.addEventListener("fullscreenchange", () => root.classList.toggle("whole", document.fullscreenElement === root));
    document.addEventListener("keydown", (event) => this.key(event));
    viewer.stage.addEventListener("focus", () => viewer.paint());
    viewer.stage.addEventListener("blur", () => viewer.paint());
    this.wireSwitch();
  }

  wireSwitch() {
    const box = this.help.querySelector("input[type=checkbox]");
    box.checked = !lettersAreOff();
    box.addEventListener("change", () => switchLetters(box.checked));
  }

  ready() {
    const { presets } = this.viewer.picture;
    const select = this.root.querySelector("[data-preset]");
    const options = Object.entries(presets).map(([value, { name }]) => new Option(name, value));
    select.replaceChildren(...options, new Option("By hand", "", false, false));
    select.lastChild.disabled = true;
    for (const control of this.root.querySelectorAll(".viewer-tools :disabled")) {
      if (control !== select.lastChild) control.disabled = false;
    }
    this.useTool(this.viewer.tool);
    this.show();
  }

  // ------------------------------------------------------------ doing

  run(name) {
    if (!name) return;
    const { viewer } = this;
    if (Object.values(TOOLS).includes(name)) return this.useTool(name);
    const does = {
      in: () => viewer.zoom(1.25),
      out: () => viewer.zoom(0.8),
      fit: () => viewer.fit(),
      one: () => viewer.oneToOne(),
      invert: () => viewer.invert(),
      mirror: () => viewer.orient("mirror"),
      flip: () => viewer.orient("flip"),
      right: () => viewer.orient("right"),
      left: () => viewer.orient("left"),
      reset: () => viewer.reset(),
      heat: () => { this.heatShown = !this.heatShown; this.showHeat(); },
      whole: () => this.wholeScreen(),
      help: () => this.help.showModal(),
      close: () => this.help.close(),
    };
    does[name]?.();
  }

  useTool(name) {
    this.viewer.tool = name;
    for (const tool of Object.values(TOOLS)) this.find(tool)?.setAttribute("aria-pressed", String(tool === name));
    this.viewer.stage.dataset.tool = name;
    if (name === "measure") {
      const spacing = this.viewer.facts.spacing;
      this.viewer.say(!spacing
        ? "The size of a pixel is not known for this film: distances are in pixels."
        : spacing.detector
          ? "Distances are at the detector. The body lies before it, so it is shown larger than it is."
          : "Drag from one end to the other. Distances are in millimetres.");
    } else {
      this.viewer.say("");
    }
    this.viewer.paint();
  }

  async wholeScreen() {
    const { root } = this;
    if (document.fullscreenElement) return document.exitFullscreen();
    // Some telephones show no element in full screen; then it covers the page.
    if (!root.requestFullscreen) return root.classList.toggle("whole");
    return root.requestFullscreen();
  }

  // ------------------------------------------------------------ keys

  key(event) {
    if (isElsewhere(event) || !this.mine()) return;
    const inside = document.activeElement === this.viewer.stage;
    const done = (inside && this.keyInside(event)) || (!lettersAreOff() && this.letter(event));
    if (done) event.preventDefault();
  }

  /** Of several viewers the one that has the focus answers, else the first. */
  mine() {
    const focused = document.activeElement?.closest("[data-viewer]");
    return focused ? focused === this.root : document.querySelector("[data-viewer]") === this.root;
  }

  keyInside({ key, shiftKey }) {
    const { viewer, measure } = this;
    const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (arrow && viewer.tool === "measure") measure.step(...arrow.map((n) => -n * (shiftKey ? 1 : 10)));
    else if (arrow && shiftKey) viewer.dragWindow(-arrow[0] * 12, -arrow[1] * 12);
    else if (arrow) viewer.pan(arrow[0] * STEP, arrow[1] * STEP);
    else if ((key === "Enter" || key === " ") && viewer.tool === "measure") measure.set();
    else if ((key === "Delete" || key === "Backspace") && measure.lines.length) measure.removeLast();
    else if (key === "Escape" && measure.lines.length) measure.clear();
    else return false;
    return true;
  }

  letter({ key }) {
    const { viewer } = this;
    if (key in PRESETS) viewer.usePreset(PRESETS[key]);
    else if (key in TOOLS) this.useTool(TOOLS[key]);
    else if (key === "[" || key === "]") viewer.picture && viewer.setWindow(viewer.window.centre, viewer.window.width * (key === "[" ? NARROWER : 1 / NARROWER));
    else if (key === "{" || key === "}") viewer.dragWindow(0, key === "{" ? 12 : -12);
    else if (key === "<" || key === ">") this.nudge("[data-threshold]", key === ">" ? HEAT_STEP : -HEAT_STEP);
    else if (key === "," || key === ".") this.nudge("[data-opacity]", key === "." ? HEAT_STEP : -HEAT_STEP);
    else {
      const name = {
        "+": "in", "=": "in", "-": "out", 0: "fit", o: "one", i: "invert", x: "mirror", y: "flip",
        r: "right", R: "left", d: "reset", h: "heat", v: "whole", "?": "help",
      }[key];
      if (!name) return false;
      this.run(name);
    }
    return true;
  }

  nudge(slider, by) {
    const input = this.root.querySelector(slider);
    input.value = Number(input.value) + by;
    input.dispatchEvent(new Event("input"));
  }

  // ------------------------------------------------------------ showing

  show() {
    const { viewer } = this;
    if (!viewer.picture) return;
    const { centre, width } = viewer.window;
    const text = (name, words) => { this.root.querySelector(name).textContent = words; };
    text(".viewer-window", `W ${round(width)}  L ${round(centre)}`);
    text(".viewer-zoom", `${Math.round(viewer.scale * viewer.ratio * 100)} %`);
    text(".viewer-turned", viewer.upright ? "" : "turned or mirrored");
    this.root.querySelector("[data-preset]").value = viewer.preset;
    this.find("invert").setAttribute("aria-pressed", String(viewer.inverted));
  }

  showValue({ x, y }) {
    const value = this.viewer.picture?.valueAt(x, y) ?? null;
    this.root.querySelector(".viewer-value").textContent =
      value === null ? "" : `${Math.floor(x)}, ${Math.floor(y)}: ${round(value)}`;
  }

  showHeat() {
    const slider = this.root.querySelector("[data-opacity]");
    const button = this.find("heat");
    const there = Boolean(this.root.dataset.heatmap || this.root.querySelector(".overlay image"));
    const strip = this.root.querySelector(".viewer-heatbar");
    strip.hidden = !there;
    const share = this.heatShown ? slider.value / 100 : 0;
    this.viewer.setOpacity(share);
    const plain = this.root.querySelector(".overlay");
    if (plain) plain.style.opacity = share;
    button.setAttribute("aria-pressed", String(this.heatShown));
    button.firstChild.textContent = this.heatShown ? "Shown " : "Hidden ";
  }

  showThreshold() {
    const slider = this.root.querySelector("[data-threshold]");
    this.viewer.setThreshold(slider.value / 100);
  }
}

function round(value) {
  return Math.abs(value) < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
}
