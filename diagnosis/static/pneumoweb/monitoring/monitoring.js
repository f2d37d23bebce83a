// Plots of the monitoring page, drawn from its tables. Colours come from the page's tokens, and follow its theme.
(() => {
  const tables = JSON.parse(document.getElementById("plots").textContent);
  const charts = [];
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const column = (table, place) => table.rows.map((row) => row[place]);
  const axis = (text, more = {}) => ({
    title: { display: Boolean(text), text, color: token("--pw-muted") }, grid: { color: token("--pw-line") },
    ...more, ticks: { color: token("--pw-muted"), maxRotation: 0, autoSkipPadding: 12, ...more.ticks },
  });
  const draw = (canvas, type, labels, datasets, x, y, legend = {}) => {
    if (!canvas) return;
    charts.push(new Chart(canvas, {
      type, data: { labels, datasets },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
        plugins: { legend: { labels: { color: token("--pw-text"), boxWidth: 14, boxHeight: type === "bar" ? 10 : 2, ...legend } } },
        scales: { x, y },
      },
    }));
  };
  const line = (label, data, colour, more = {}) => ({
    label, data, borderColor: token(colour), backgroundColor: token(colour), borderWidth: 2, tension: 0, spanGaps: false,
    // A point that stands alone between gaps has no line: it must be seen all the same.
    pointRadius: data.length > 60 ? 1.5 : 2.5, ...more,
  });
  const byId = (id) => document.getElementById(id);

  const films = () => {
    const t = tables.films;
    const colours = ["--pw-normal", "--pw-pneumonia", "--pw-muted", "--pw-danger", "--pw-accent"];
    const sets = colours.map((colour, k) => ({ label: t.columns[k + 1], data: column(t, k + 1), backgroundColor: token(colour), borderWidth: 0 }));
    draw(byId("plot-films"), "bar", column(t, 0), sets.filter((set) => set.data.some(Boolean)),
      axis("", { stacked: true, grid: { display: false } }), axis("films", { stacked: true, beginAtZero: true, ticks: { precision: 0 } }));
  };
  const times = () => {
    const t = tables.times;
    draw(byId("plot-times"), "line", column(t, 0), [
      line("waiting, median", column(t, 1), "--pw-accent"), line("waiting, 95 % within", column(t, 2), "--pw-accent", { borderDash: [4, 4] }),
      line("reading, median", column(t, 3), "--pw-normal"), line("reading, 95 % within", column(t, 4), "--pw-normal", { borderDash: [4, 4] }),
    ], axis("", { grid: { display: false } }), axis("seconds", { type: "logarithmic", ticks: { callback: (v) => (/^[125]/.test(String(v).replace(/^0\.0*/, "")) ? v : "") } }));
  };
  const agreement = () => {
    const t = tables.agreement;
    const percent = (place) => column(t, place).map((v) => (v == null ? null : 100 * v));
    const band = { pointRadius: 0, borderWidth: 1, borderDash: [3, 3] };
    draw(byId("plot-agreement"), "line", column(t, 0), [
      line("agreement", percent(2 + 1), "--pw-accent"), line("95 % interval", percent(4), "--pw-muted", band), line("upper", percent(5), "--pw-muted", band),
    ], axis("", { grid: { display: false } }), axis("% of reviewed films", { min: 0, max: 100 }), { filter: (item) => item.text !== "upper" });
  };
  const histograms = () => {
    for (const canvas of document.querySelectorAll("[data-histogram]")) {
      const rows = tables.histograms.rows.filter((row) => row[0] === canvas.dataset.histogram);
      const share = (place) => rows.map((row) => 100 * row[place]);
      draw(canvas, "bar", rows.map((row) => row[1]), [
        { label: "films now", data: share(2), backgroundColor: token("--pw-accent") },
        { label: "expected from validation", data: share(3), backgroundColor: token("--pw-line"), borderColor: token("--pw-muted"), borderWidth: 1 },
      ], axis("", { grid: { display: false }, ticks: { font: { size: 10 }, maxRotation: 45 } }), axis("% of films", { beginAtZero: true }));
    }
  };
  const paint = () => {
    while (charts.length) charts.pop().destroy();
    films();
    times();
    agreement();
    histograms();
  };
  paint();
  document.addEventListener("themechange", paint);
})();
