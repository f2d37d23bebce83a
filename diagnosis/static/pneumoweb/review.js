// One film under review: a key gives the verdict, the heatmap is shown or not, regions are drawn in pixels of the film.
(() => {
  const form = document.getElementById("verdict");
  const canvas = document.getElementById("regions");
  const status = document.getElementById("region-status");
  const field = document.getElementById("region");
  const width = Number(canvas.dataset.width), height = Number(canvas.dataset.height);
  const regions = JSON.parse(document.getElementById("drawn")?.textContent ?? "[]");
  const SVG = "http://www.w3.org/2000/svg";
  const MOST = 20, MOST_POINTS = 500;
  let tool = null; // "box", "outline" or nothing
  let drawing = null; // the region under the pointer

  // ---------- regions
  const clamp = (value, most) => Math.round(Math.max(0, Math.min(value, most)) * 10) / 10;
  const toFilm = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(canvas.getScreenCTM().inverse());
    return [clamp(point.x, width), clamp(point.y, height)];
  };
  const ordered = ([[a, b], [c, d]]) => [[Math.min(a, c), Math.min(b, d)], [Math.max(a, c), Math.max(b, d)]];
  const shape = (region) => {
    const node = document.createElementNS(SVG, region.kind === "box" ? "rect" : "polygon");
    if (region.kind === "box") {
      const [[x, y], [right, bottom]] = ordered(region.points);
      for (const [name, value] of Object.entries({ x, y, width: right - x, height: bottom - y })) node.setAttribute(name, value);
    } else {
      node.setAttribute("points", region.points.map((point) => point.join(",")).join(" "));
    }
    return node;
  };
  const draw = (focus = null) => {
    canvas.replaceChildren(...regions.map((region, n) => {
      const node = shape(region);
      node.setAttribute("tabindex", "0");
      node.setAttribute("role", "button");
      node.setAttribute("aria-label", `Region ${n + 1}, ${region.kind}: arrows move it, with Shift they size it, Delete removes it`);
      node.dataset.n = n;
      return node;
    }), ...(drawing ? [shape(drawing)] : []));
    if (focus !== null) canvas.querySelector(`[data-n="${focus}"]`)?.focus();
    if (field) field.value = regions.length ? JSON.stringify(regions) : "";
    status.textContent = regions.length ? `${regions.length} region${regions.length > 1 ? "s" : ""} drawn` : "";
  };
  const keep = (region) => {
    if (region.kind === "box") region.points = ordered(region.points);
    const xs = region.points.map((p) => p[0]), ys = region.points.map((p) => p[1]);
    const large = Math.max(...xs) - Math.min(...xs) > width / 200 && Math.max(...ys) - Math.min(...ys) > height / 200;
    if (large && regions.length < MOST && (region.kind === "box" || region.points.length > 2)) regions.push(region);
  };
  const choose = (kind) => {
    tool = tool === kind ? null : kind;
    for (const button of document.querySelectorAll("[data-draw]")) button.setAttribute("aria-pressed", String(button.dataset.draw === tool));
    canvas.classList.toggle("drawing", tool !== null);
  };
  const addBox = () => {
    if (regions.length >= MOST) return;
    regions.push({ kind: "box", points: [[clamp(width * 0.4, width), clamp(height * 0.4, height)], [clamp(width * 0.6, width), clamp(height * 0.6, height)]] });
    draw(regions.length - 1);
  };
  const moved = (region, dx, dy, size) => {
    const xs = region.points.map((p) => p[0]), ys = region.points.map((p) => p[1]);
    if (size) {
      // Scaled away from its top left corner, within the film.
      const [x, y] = [Math.min(...xs), Math.min(...ys)];
      const [w, h] = [Math.max(...xs) - x, Math.max(...ys) - y];
      const sx = Math.max(width / 100, Math.min(w + dx, width - x)) / w, sy = Math.max(height / 100, Math.min(h + dy, height - y)) / h;
      return region.points.map((p) => [clamp(x + (p[0] - x) * sx, width), clamp(y + (p[1] - y) * sy, height)]);
    }
    const mx = Math.max(-Math.min(...xs), Math.min(dx, width - Math.max(...xs)));
    const my = Math.max(-Math.min(...ys), Math.min(dy, height - Math.max(...ys)));
    return region.points.map((p) => [clamp(p[0] + mx, width), clamp(p[1] + my, height)]);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!tool || event.button !== 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    const point = toFilm(event);
    drawing = { kind: tool, points: tool === "box" ? [point, point] : [point] };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    const point = toFilm(event);
    if (drawing.kind === "box") drawing.points[1] = point;
    else if (drawing.points.length < MOST_POINTS) drawing.points.push(point);
    draw();
  });
  const finish = () => {
    if (!drawing) return;
    keep(drawing);
    drawing = null;
    draw();
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("keydown", (event) => {
    const n = Number(event.target.dataset.n);
    const region = regions[n];
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!region || !(arrows || event.key === "Delete" || event.key === "Backspace")) return;
    event.preventDefault();
    if (!arrows) {
      regions.splice(n, 1);
      draw(regions.length ? Math.max(0, n - 1) : null);
      return;
    }
    const step = Math.max(width, height) / 100;
    region.points = moved(region, arrows[0] * step, arrows[1] * step, event.shiftKey);
    draw(n);
  });
  for (const button of document.querySelectorAll("[data-draw]")) button.addEventListener("click", () => choose(button.dataset.draw));
  document.getElementById("add-box").addEventListener("click", addBox);

  // ---------- heatmap
  const heat = document.getElementById("review-heat");
  const slider = document.getElementById("review-opacity");
  const button = document.getElementById("review-heat-switch");
  let shown = true;
  const showHeat = () => {
    heat.style.opacity = shown ? slider.value / 100 : 0;
    button.setAttribute("aria-pressed", String(shown));
  };
  const flip = () => { shown = !shown; showHeat(); };
  if (heat) {
    slider.addEventListener("input", () => { shown = true; showHeat(); });
    button.addEventListener("click", flip);
    showHeat();
  }

  // ---------- keys
  const remark = document.getElementById("id_remark");
  remark?.addEventListener("keydown", (event) => {
    if (event.key === "Escape") remark.blur();
  });
  const actions = {
    b: () => choose("box"),
    o: () => choose("outline"),
    r: addBox,
    h: () => heat && flip(),
    m: () => remark?.focus(),
    k: () => document.getElementById("keep")?.requestSubmit(),
  };
  let given = false; // a key that is held down gives one verdict
  document.addEventListener("keydown", (event) => {
    if (event.repeat || !window.pneumowebKeys.free(event)) return;
    const key = event.key.toLowerCase();
    const verdict = form?.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!verdict && !actions[key]) return;
    event.preventDefault();
    if (!verdict) actions[key]();
    else if (!given) {
      given = true;
      form.requestSubmit(verdict);
    }
  });
  window.addEventListener("pageshow", () => { given = false; });
  draw();
})();
