// Curves of two versions side by side, and of the operating point. Colours come from the page's tokens.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const line = (label, data, colour, more = {}) =>
    ({ label, data, borderColor: token(colour), backgroundColor: token(colour), borderWidth: 2, pointRadius: 0, pointStyle: more.pointRadius ? "circle" : "line", pointHitRadius: 8, tension: 0, ...more });
  const axis = (text) =>
    ({ type: "linear", min: 0, max: 1, title: { display: true, text, color: token("--pw-muted") }, ticks: { color: token("--pw-muted") }, grid: { color: token("--pw-line") } });
  const points = (pairs) => pairs.map(([x, y]) => ({ x, y }));
  const diagonal = (label) => line(label, points([[0, 0], [1, 1]]), "--pw-muted", { borderDash: [4, 4] });
  const spot = (label, m, colour, style) =>
    line(label, [{ x: 1 - m.specificity, y: m.sensitivity }], colour, { pointRadius: 6, pointStyle: style, showLine: false });
  const bins = (side) => side.reliability.map((b) => ({ x: b.mean_probability, y: b.observed }));
  const figures = read("figures");
  const kinds = {
    roc: (part) => [[
      line("production", points(part.production.roc), "--pw-muted"),
      line("candidate", points(part.candidate.roc), "--pw-accent"),
      spot("production's threshold", part.production, "--pw-muted", "rect"),
      spot("candidate's threshold", part.candidate, "--pw-accent", "triangle"),
    ], axis("false alarms (1 − specificity)"), axis("sensitivity")],
    reliability: (part) => [[
      line("production", bins(part.production), "--pw-muted", { pointRadius: 3, pointStyle: "rect" }),
      line("candidate", bins(part.candidate), "--pw-accent", { pointRadius: 3 }),
      diagonal("perfect"),
    ], axis("stated probability"), axis("share with pneumonia")],
    operating: () => [[
      line("confirmed films", points(read("roc")), "--pw-accent"),
      spot("now", read("now"), "--pw-strong", "rect"),
      ...(read("wanted") ? [spot("wanted", read("wanted"), "--pw-pneumonia", "triangle")] : []),
      diagonal("chance"),
    ], axis("false alarms (1 − specificity)"), axis("sensitivity")],
  };
  const charts = [];
  const paint = () => {
    while (charts.length) charts.pop().destroy();
    for (const canvas of document.querySelectorAll("canvas[data-plot]")) {
      const [datasets, x, y] = kinds[canvas.dataset.plot](figures?.parts[canvas.dataset.part]);
      charts.push(new Chart(canvas, {
        type: "line",
        data: { datasets },
        options: {
          animation: false, responsive: true, maintainAspectRatio: false,
          interaction: { mode: "nearest", intersect: false },
          plugins: { legend: { labels: { color: token("--pw-text"), usePointStyle: true } } },
          scales: { x, y },
        },
      }));
    }
  };
  paint();
  document.addEventListener("themechange", paint);
})();
