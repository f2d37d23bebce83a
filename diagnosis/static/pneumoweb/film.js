// The heatmap's opacity and switch. The heatmap itself may arrive later, so the setting lives on its frame.
(() => {
  const slider = document.getElementById("opacity");
  const button = document.getElementById("heat-switch");
  const overlay = () => document.getElementById("overlay");
  let shown = true;
  const show = () => {
    overlay().style.opacity = shown ? slider.value / 100 : 0;
    button.setAttribute("aria-pressed", String(shown));
    button.firstChild.textContent = shown ? "Shown " : "Hidden ";
  };
  const flip = () => { shown = !shown; show(); };
  slider.addEventListener("input", () => { shown = true; show(); });
  button.addEventListener("click", flip);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "h" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=range]):not([type=radio]), textarea, select")) return;
    flip();
  });
  document.addEventListener("htmx:oobAfterSwap", show);
  show();
})();
