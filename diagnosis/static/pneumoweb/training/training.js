// Curves of a training run. The figures arrive with the part of the page that htmx replaces; the canvases stay.
(() => {
  const charts = {};
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = (text, more = {}) =>
    ({ type: "linear", title: { display: Boolean(text), text, color: token("--pw-muted") }, ticks: { color: token("--pw-muted"), precision: more.precision }, grid: { color: token("--pw-line") }, ...more });
  const plots = {
    "plot-loss": [["training", "loss", "--pw-muted"], ["validation", "val_loss", "--pw-accent"]],
    "plot-auc": [["training", "auc", "--pw-muted"], ["validation", "val_auc", "--pw-accent"]],
  };
  const paint = (anew) => {
    const { history, epochs } = JSON.parse(document.getElementById("curves").textContent);
    for (const [id, lines] of Object.entries(plots)) {
      const datasets = lines.map(([label, key, colour]) => ({
        label, data: history.filter((row) => row[key] != null).map((row) => ({ x: row.epoch, y: row[key] })),
        borderColor: token(colour), backgroundColor: token(colour), borderWidth: 2, pointRadius: 2, pointHitRadius: 8,
      }));
      if (anew && charts[id]) { charts[id].destroy(); delete charts[id]; }
      if (charts[id]) {
        charts[id].data.datasets.forEach((set, place) => { set.data = datasets[place].data; });
        charts[id].update("none");
        continue;
      }
      charts[id] = new Chart(document.getElementById(id), {
        type: "line",
        data: { datasets },
        options: {
          animation: false, responsive: true, maintainAspectRatio: false,
          interaction: { mode: "index", intersect: false },
          plugins: { legend: { labels: { color: token("--pw-text"), boxWidth: 18, boxHeight: 2 } } },
          scales: { x: axis("epoch", { min: 1, max: Math.max(2, epochs), precision: 0 }), y: axis("") },
        },
      });
    }
  };
  paint(false);
  document.addEventListener("themechange", () => paint(true));
  document.addEventListener("htmx:afterSettle", () => paint(false));
})();
