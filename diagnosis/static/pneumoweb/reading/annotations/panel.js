// The list beside the film: what a pointer does to regions by dragging, buttons do here; other readers' are shown or not.
const STEP = 8; // CSS pixels of a press
const PAD = {
  left: (all, n) => all.shift(n, -STEP, 0),
  right: (all, n) => all.shift(n, STEP, 0),
  up: (all, n) => all.shift(n, 0, -STEP),
  down: (all, n) => all.shift(n, 0, STEP),
  wider: (all, n) => all.grow(n, STEP, 0),
  narrower: (all, n) => all.grow(n, -STEP, 0),
  taller: (all, n) => all.grow(n, 0, STEP),
  lower: (all, n) => all.grow(n, 0, -STEP),
};

function button(text, dataset, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn btn-quiet btn-sm";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  Object.assign(made.dataset, dataset);
  return made;
}

export class Panel {
  constructor(root, regions, layer, readers) {
    Object.assign(this, { root, regions, layer, readers });
    this.list = root.querySelector("#own-regions");
    this.pad = root.querySelector("#region-pad");
    root.hidden = !regions && !readers.length;
    root.addEventListener("click", ({ target }) => this.click(target.closest("button")?.dataset ?? {}));
    root.addEventListener("change", ({ target }) => layer.show(target.dataset.reader, target.checked));
    if (readers.length) window.pneumowebKeys.on({ readers: () => this.switchReaders() });
    if (!regions) return;
    root.querySelector("#add-box").addEventListener("click", () => regions.add());
    regions.addEventListener("list", () => this.build());
    regions.addEventListener("shape", () => this.show());
    this.build();
  }

  build() {
    const { list, regions } = this;
    const rows = regions.all.map((_, n) => {
      const row = document.createElement("li");
      row.append(button("", { choose: n }), button("×", { remove: n }, `Take region ${n + 1} away`));
      return row;
    });
    list.replaceChildren(...rows);
    this.root.querySelector("#no-regions").hidden = rows.length > 0;
    this.root.querySelector("#region-status").textContent = rows.length ? `${rows.length} drawn` : "No region is drawn";
    this.show();
  }

  show() {
    const { list, pad, regions } = this;
    for (const chooser of list.querySelectorAll("[data-choose]")) {
      const n = Number(chooser.dataset.choose);
      chooser.textContent = `${n + 1} ${regions.words(n)}`;
      chooser.setAttribute("aria-pressed", String(n === regions.chosen));
    }
    pad.hidden = regions.chosen === null;
    pad.setAttribute("aria-label", `Move and size region ${regions.chosen + 1}`);
  }

  click({ choose, remove, pad, take }) {
    const { regions } = this;
    if (choose) regions.choose(Number(choose));
    else if (pad) PAD[pad](regions, regions.chosen);
    else if (take) regions.push(this.readers.find(({ letter }) => letter === take).regions);
    else if (remove) {
      regions.remove(Number(remove));
      const next = this.list.querySelector(`[data-remove="${regions.chosen}"]`) ?? this.root.querySelector("#add-box");
      next.focus();
    }
  }

  switchReaders() {
    const boxes = [...this.root.querySelectorAll("input[data-reader]")];
    const on = boxes.some((box) => !box.checked);
    for (const box of boxes) {
      box.checked = on;
      this.layer.show(box.dataset.reader, on);
    }
  }
}
