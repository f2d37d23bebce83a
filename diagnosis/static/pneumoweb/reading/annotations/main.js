// One film under review: regions on the viewer, a key for each verdict, and the film as one looked at it.
import { Layer } from "annotations/layer";
import { Panel } from "annotations/panel";
import { Regions } from "annotations/regions";

const LOOKED_AT = "review-sight"; // the one film that was looked at last, in this tab only
const { viewer } = document.querySelector("[data-viewer]");
const form = document.getElementById("verdict");
const readers = JSON.parse(document.getElementById("readers").textContent);

const regions = form && new Regions(viewer, form.elements.region);
if (regions || readers.length) {
  const layer = new Layer(viewer, regions, readers);
  new Panel(document.getElementById("regions-panel"), regions, layer, readers);
}

// ---------- verdicts
let given = false; // a key that is held down gives one verdict
let early = false;
const give = (button) => ({ repeat }) => {
  if (repeat || given) return;
  // A key pressed too often would otherwise read the next film unseen.
  if (viewer.loading) {
    early = true;
    viewer.say("The film is still on its way: look at it, then give your verdict.");
    return;
  }
  given = true;
  form.requestSubmit(button);
};
if (form) {
  const verdicts = [...form.querySelectorAll("button[name=verdict]")];
  window.pneumowebKeys.on(Object.fromEntries(verdicts.map((button) => [`verdict-${button.value}`, give(button)])));
  const { remark } = form.elements;
  window.pneumowebKeys.on({ remark: () => remark.focus() });
  remark.addEventListener("keydown", ({ key }) => { if (key === "Escape") viewer.stage.focus({ preventScroll: true }); });
}
const keep = document.getElementById("keep");
if (keep) window.pneumowebKeys.on({ keep: ({ repeat }) => repeat || keep.requestSubmit() });
window.addEventListener("pageshow", () => { given = false; });

// ---------- the answer after a blind verdict, and a verdict taken back, open the film as it was looked at
viewer.root.addEventListener("viewer:ready", () => {
  if (early) viewer.say("");
  const { film, sight } = JSON.parse(sessionStorage.getItem(LOOKED_AT)) ?? {};
  if (film === viewer.root.dataset.film) viewer.look(sight);
}, { once: true });
window.addEventListener("pagehide", () => {
  if (viewer.picture) sessionStorage.setItem(LOOKED_AT, JSON.stringify({ film: viewer.root.dataset.film, sight: viewer.sight }));
});
