// Buttons, sliders and keys of one viewer. Which key does what stands in the page's table (keys.js).
import { Cross } from "viewer/crosshair";
import { Measure } from "viewer/measure";

const STEP = 60; // CSS pixels that an arrow key pans
const NARROWER = 0.85;
const DARKER = 12; // CSS pixels of a drag
const HEAT_STEP = 5;

export class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    this.root = viewer.root;
    this.measure = new Measure(viewer);
    this.cross = new Cross(viewer);
    this.drawers = [this.measure]; // what Delete and Escape on the film are offered to, the last one first
    this.hints = { measure: () => this.hintOfMeasure() };
    this.actions = {};
    this.heatShown = true;
    this.add(this.own());
    this.wire();
    this.showHeat();
  }

  /** Let buttons (`data-do`) and keys of these names do something. */
  add(actions) {
    Object.assign(this.actions, actions);
    window.pneumowebKeys.on(actions, () => this.mine());
  }

  find(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  wire() {
    const { root, viewer } = this;
    root.addEventListener("click", ({ target }) => this.actions[target.closest("button[data-do]")?.dataset.do]?.());
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
    viewer.stage.addEventListener("keydown", (event) => this.keyOnFilm(event));
    viewer.stage.addEventListener("focus", () => viewer.paint());
    viewer.stage.addEventListener("blur", () => viewer.paint());
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

  own() {
    const { viewer } = this;
    return {
      window: () => this.useTool("window"),
      pan: () => this.useTool("pan"),
      measure: () => this.useTool("measure"),
      "preset-own": () => viewer.usePreset("own"),
      "preset-full": () => viewer.usePreset("full"),
      "preset-contrast": () => viewer.usePreset("contrast"),
      "preset-lung": () => viewer.usePreset("lung"),
      "preset-bone": () => viewer.usePreset("bone"),
      narrower: () => this.stretch(NARROWER),
      wider: () => this.stretch(1 / NARROWER),
      darker: () => viewer.dragWindow(0, DARKER),
      brighter: () => viewer.dragWindow(0, -DARKER),
      invert: () => viewer.invert(),
      in: () => viewer.zoom(1.25),
      out: () => viewer.zoom(0.8),
      fit: () => viewer.fit(),
      one: () => viewer.oneToOne(),
      mirror: () => viewer.orient("mirror"),
      flip: () => viewer.orient("flip"),
      right: () => viewer.orient("right"),
      left: () => viewer.orient("left"),
      reset: () => viewer.reset(),
      heat: () => this.switchHeat(),
      fainter: () => this.nudge("[data-opacity]", -HEAT_STEP),
      stronger: () => this.nudge("[data-opacity]", HEAT_STEP),
      lower: () => this.nudge("[data-threshold]", -HEAT_STEP),
      higher: () => this.nudge("[data-threshold]", HEAT_STEP),
      whole: () => this.wholeScreen(),
    };
  }

  /** Choose what a drag does. A tool that the viewer does not know itself is somebody's who draws on the film. */
  useTool(name) {
    this.viewer.tool = name;
    for (const button of this.root.querySelectorAll("button[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.do === name));
    this.viewer.stage.dataset.tool = name;
    this.viewer.say(this.hints[name]?.() ?? "");
    this.viewer.paint();
  }

  hintOfMeasure() {
    const { spacing } = this.viewer.facts;
    if (!spacing) return "The size of a pixel is not known for this film: distances are in pixels.";
    return spacing.detector
      ? "Distances are at the detector. The body lies before it, so it is shown larger than it is."
      : "Drag from one end to the other, or click at both. Distances are in millimetres.";
  }

  stretch(factor) {
    const { viewer } = this;
    if (viewer.picture) viewer.setWindow(viewer.window.centre, viewer.window.width * factor);
  }

  async wholeScreen() {
    const { root } = this;
    if (document.fullscreenElement) return document.exitFullscreen();
    // Some telephones show no element in full screen; then it covers the page.
    if (!root.requestFullscreen) return root.classList.toggle("whole");
    return root.requestFullscreen();
  }

  // ------------------------------------------------------------ keys

  /** Of several viewers the one that has the focus answers, else the first. */
  mine() {
    const focused = document.activeElement?.closest("[data-viewer]");
    return focused ? focused === this.root : document.querySelector("[data-viewer]") === this.root;
  }

  /** Keys that mean something only while the film has the focus. */
  keyOnFilm(event) {
    if (event.target !== this.viewer.stage || window.pneumowebKeys.elsewhere(event)) return;
    if (this.doneOnFilm(event)) event.preventDefault();
  }

  doneOnFilm({ key, shiftKey }) {
    const { viewer, cross } = this;
    const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (arrow && viewer.draws(viewer.tool)) cross.step(...arrow.map((n) => -n * (shiftKey ? 1 : 10)));
    else if (arrow && shiftKey) viewer.dragWindow(-arrow[0] * 12, -arrow[1] * 12);
    else if (arrow) viewer.pan(arrow[0] * STEP, arrow[1] * STEP);
    else if ((key === "Enter" || key === " ") && viewer.draws(viewer.tool)) cross.set();
    else if (key === "Delete" || key === "Backspace") return Boolean(this.drawers.findLast((drawer) => drawer.removeLast()));
    else if (key === "Escape") return Boolean(this.drawers.findLast((drawer) => drawer.clear()));
    else return false;
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

  switchHeat() {
    if (!this.heatmap) return this.viewer.say("This page shows no heatmap.");
    this.heatShown = !this.heatShown;
    this.showHeat();
  }

  get heatmap() {
    return Boolean(this.root.dataset.heatmap || this.root.querySelector(".overlay image"));
  }

  showHeat() {
    const slider = this.root.querySelector("[data-opacity]");
    const button = this.find("heat");
    this.root.querySelector(".viewer-heatbar").hidden = !this.heatmap;
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
