// Two films side by side: what is done to one is done to the other, until the link is loosened. Films of different
// size follow each other in shares of their own, so a film that was moved while loose keeps its lead.
export function link(room) {
  const viewers = [...room.querySelectorAll("[data-viewer]")].map((root) => root.viewer);
  const button = room.querySelector("[data-link]");
  let linked = true;
  const set = (on) => {
    linked = on;
    button.setAttribute("aria-pressed", String(on));
  };
  button.addEventListener("click", () => set(!linked));
  for (const viewer of viewers) {
    viewer.root.addEventListener("viewer:change", ({ detail }) => {
      if (linked) for (const other of viewers) if (other !== viewer) other.follow(detail);
    });
  }
  window.pneumowebKeys.on({ link: () => set(!linked), swap: () => room.querySelector("[data-swap]").click() });
}
