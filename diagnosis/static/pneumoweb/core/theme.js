// Runs before the page is painted, so that a light reader never sees a dark flash.
(() => {
  const root = document.documentElement;
  const stored = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const preferred = () => stored() ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  root.dataset.bsTheme = preferred();
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
    root.dataset.bsTheme = next;
    // A browser that keeps nothing (private mode) still switches this page.
    try { localStorage.setItem("theme", next); } catch (error) { console.warn("the theme is not remembered", error); }
    document.dispatchEvent(new Event("themechange"));
  });
})();
