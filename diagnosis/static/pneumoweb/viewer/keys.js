// What all keys of the viewer ask first.
const STORED = "viewer-keys-off";
const WRITING = "input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]";

/** Keys of one letter can be switched off (WCAG 2.1.4): speech input and unsteady hands set them off. */
export function lettersAreOff() {
  try { return localStorage.getItem(STORED) === "1"; } catch { return false; }
}

export function switchLetters(on) {
  // A browser that keeps nothing (private mode) keeps them on.
  try { localStorage.setItem(STORED, on ? "0" : "1"); } catch (error) { console.warn("the choice is not remembered", error); }
}

/** Whether a key belongs to something else: a shortcut of the browser, a field, a dialog. */
export function isElsewhere(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  return Boolean(document.querySelector("dialog[open]") || (event.target instanceof Element && event.target.closest(WRITING)));
}
