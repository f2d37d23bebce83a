// A cross on the film that the arrow keys move: what a pointer draws can be drawn by keys too.
const SVG = "http://www.w3.org/2000/svg";

export class Cross {
  constructor(viewer) {
    this.viewer = viewer;
    this.at = null; // in pixels of the film
    this.mark = document.createElementNS(SVG, "path");
    this.mark.setAttribute("class", "cross");
    const layer = document.createElementNS(SVG, "svg");
    layer.setAttribute("class", "viewer-marks");
    layer.setAttribute("aria-hidden", "true");
    layer.append(this.mark);
    viewer.stage.append(layer);
    viewer.root.addEventListener("viewer:view", () => this.paint());
  }

  /** Move by CSS pixels of the screen. */
  step(dx, dy) {
    const { viewer } = this;
    this.place();
    const [u, v] = viewer.alongFilm(dx, dy);
    const clamp = (value, most) => Math.min(most, Math.max(0, value));
    this.at = { x: clamp(this.at.x + u, viewer.width), y: clamp(this.at.y + v, viewer.height) };
    viewer.send("viewer:pointer", this.at);
    viewer.paint();
  }

  /** Do what a click at the cross would do. */
  set() {
    const { viewer } = this;
    this.place();
    for (const phase of ["start", "end"]) viewer.send(`viewer:${viewer.tool}`, { phase, ...this.at });
    viewer.paint();
  }

  /** Begin in the middle, and again where the cross has left the screen. */
  place() {
    const { viewer } = this;
    const { x, y } = this.at ? viewer.toStage(this.at.x, this.at.y) : { x: -1, y: -1 };
    const seen = x >= 0 && y >= 0 && x <= viewer.stage.clientWidth && y <= viewer.stage.clientHeight;
    if (!seen) this.at = { x: viewer.x, y: viewer.y };
  }

  paint() {
    const { viewer } = this;
    const shown = this.at && viewer.draws(viewer.tool) && document.activeElement === viewer.stage;
    const { x, y } = shown ? viewer.toStage(this.at.x, this.at.y) : { x: 0, y: 0 };
    this.mark.setAttribute("d", shown ? `M${x - 12} ${y}h24M${x} ${y - 12}v24` : "");
  }
}
