// Keys that several pages share: help with "?", undo with "z". `pneumowebKeys.free` says whether a key is ours to take.
window.pneumowebKeys = {
  off() {
    try { return localStorage.getItem("viewer-keys-off") === "1"; } catch { return false; }
  },
  free(event) {
    // Keys of one letter can be switched off in the viewer's help (WCAG 2.1.4); then they are off here too.
    if (event.key.length === 1 && window.pneumowebKeys.off()) return false;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return false;
    if (document.querySelector("dialog[open]")) return false;
    return !event.target.closest("input:not([type=range]):not([type=checkbox]), textarea, select");
  },
};
(() => {
  const help = document.getElementById("help");
  document.addEventListener("click", (event) => {
    if (help && event.target.closest("[data-help]")) help.showModal();
  });
  document.addEventListener("keydown", (event) => {
    if (!window.pneumowebKeys.free(event)) return;
    const undo = document.querySelector("form[data-undo]");
    if (event.key === "?" && help) {
      event.preventDefault();
      help.showModal();
    } else if (event.key.toLowerCase() === "z" && undo) {
      event.preventDefault();
      undo.requestSubmit();
    }
  });
})();
