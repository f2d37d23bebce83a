// The worklist by keys. The chosen row is the one whose link has the focus, so screen readers follow too.
(() => {
  const links = () => [...document.querySelectorAll("tr[data-row] a[data-open]")];
  let last = null; // the film that was chosen last: a row that is drawn anew keeps its place

  const chosen = () => {
    const row = document.activeElement?.closest("tr[data-row]") ?? document.getElementById(last);
    return links().findIndex((link) => link.closest("tr") === row);
  };
  const choose = (place) => {
    const found = links();
    const link = found[Math.max(0, Math.min(place, found.length - 1))];
    if (!link) return;
    link.focus();
    link.closest("tr").scrollIntoView({ block: "nearest" });
  };
  const at = (place) => links()[place]?.closest("tr");

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row) last = row.id;
  });
  window.pneumowebKeys.on({
    next: () => choose(chosen() + 1),
    previous: () => choose(Math.max(0, chosen() - 1)),
    assign: () => at(chosen())?.querySelector("[data-assign]")?.click(),
    search: () => document.getElementById("id_q").focus(),
  });
  document.getElementById("id_q").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // the browser would empty the field
    choose(0);
  });
  // Rows that were drawn anew lose the focus: it goes back to where it was.
  document.addEventListener("htmx:afterSettle", () => {
    if (document.activeElement === document.body) document.getElementById(last)?.querySelector("a[data-open]")?.focus();
  });
  // Nothing moves while one reads: new films are announced, and come when they are asked for.
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-reload]")) htmx.trigger("#filters", "renew");
  });
})();
