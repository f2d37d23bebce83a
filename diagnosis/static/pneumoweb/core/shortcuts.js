// The keys of a page, from the one table (diagnosis/keys.py) that its help shows and carries. Scripts say what an action
// does, `pneumowebKeys.on({undo: …})`; none of them knows a letter.
(() => {
  const STORED = "viewer-keys-off";
  const WRITING = "input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]";
  const help = document.querySelector("dialog[data-keys]");
  const table = new Map(Object.entries(JSON.parse(help.dataset.keys)));
  const known = new Set(table.values());
  const doers = [];

  // Single keys can be switched off (WCAG 2.1.4): speech input and unsteady hands set them off.
  const off = () => {
    try { return localStorage.getItem(STORED) === "1"; } catch { return false; }
  };
  const switchOff = (choice) => {
    // A browser that keeps nothing (private mode) keeps them on.
    try { localStorage.setItem(STORED, choice ? "1" : "0"); } catch (error) { console.warn("the choice is not remembered", error); }
  };
  const elsewhere = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return true;
    return Boolean(document.querySelector("dialog[open]") || (event.target instanceof Element && event.target.closest(WRITING)));
  };

  window.pneumowebKeys = {
    /** Say what actions do while `applies()`. One that returns false leaves the key to the browser. */
    on(actions, applies = () => true) {
      for (const name of Object.keys(actions)) if (!known.has(name)) throw new Error(`no key is set for "${name}"`);
      doers.push({ actions, applies });
    },
    /** Whether a key belongs to something else: a shortcut of the browser, a field, a dialog. */
    elsewhere,
  };

  document.addEventListener("keydown", (event) => {
    if (off() || elsewhere(event)) return;
    const name = table.get(event.key) ?? table.get(event.key.toLowerCase());
    const doer = doers.find(({ actions, applies }) => Object.hasOwn(actions, name) && applies());
    if (doer && doer.actions[name](event) !== false) event.preventDefault();
  });
  document.addEventListener("click", ({ target }) => {
    if (target.closest("[data-help]")) help.showModal();
  });

  const box = help.querySelector("input[type=checkbox]");
  box.checked = !off();
  box.addEventListener("change", () => switchOff(!box.checked));
  if (known.has("help")) window.pneumowebKeys.on({ help: () => help.showModal() });
  const undo = document.querySelector("form[data-undo]");
  if (undo) window.pneumowebKeys.on({ undo: ({ repeat }) => repeat || undo.requestSubmit() });
})();
