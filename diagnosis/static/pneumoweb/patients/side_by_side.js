// Plots of the comparison of architectures. Lines are told apart by dashes and marks as well as by colour.
(() => {
  const source = document.getElementById("found");
  if (!source) return;
  const rows = JSON.parse(source.textContent).architectures;
  const charts = [];
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = ["#56b4e9", "#e69f00", "#00b386", "#f0e442", "#e08ab8", "#ff7f50", "#c0c0c0", "#ffffff"];
  const light = ["#0b66a8", "#9a6400", "#00694e", "#6b6400", "#93366b", "#b03a00", "#555555", "#111111"];
  const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const marks = ["circle", "triangle", "rect", "rectRot", "cross", "star", "crossRot", "rectRounded"];
  const axis = (text, more = {}) =>
    ({ type: "linear", title: { display: true, text, color: token("--pw-muted") }, ticks: { color: token("--pw-muted") }, grid: { color: token("--pw-line") }, ...more });
  const style = (place) => {
    const isLight = document.documentElement.dataset.bsTheme === "light";
    const colour = (isLight ? light : dark)[place % 8];
    return { borderColor: colour, backgroundColor: colour, borderDash: dashes[place % 4], pointStyle: marks[place % 8], borderWidth: 2, tension: 0 };
  };
  const draw = (id, datasets, x, y) => {
    charts.push(new Chart(document.getElementById(id), {
      type: "line",
      data: { datasets },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        interaction: { mode: "nearest", intersect: false },
        plugins: { legend: { position: "bottom", labels: { color: token("--pw-text"), usePointStyle: true, boxHeight: 7 } } },
        scales: { x, y },
      },
    }));
  };
  const unit = { min: 0, max: 1 };
  const chance = { data: [{ x: 0, y: 0 }, { x: 1, y: 1 }], borderColor: token("--pw-muted"), borderDash: [4, 4], borderWidth: 1, pointRadius: 0 };
  const paint = () => {
    while (charts.length) charts.pop().destroy();
    const name = (row) => row.title;
    draw("plot-roc", rows.map((row, i) => ({ label: name(row), data: row.roc.map(([x, y]) => ({ x, y })), pointRadius: 0, ...style(i) })),
      axis("false alarms (1 − specificity)", unit), axis("sensitivity", unit));
    draw("plot-time", rows.map((row, i) => ({ label: name(row), data: [{ x: row.milliseconds, y: row.metrics.accuracy }], showLine: false, pointRadius: 7, ...style(i) })),
      axis("milliseconds a film, one thread", { type: "logarithmic" }), axis("accuracy"));
    draw("plot-reliability", [...rows.map((row, i) => ({ label: name(row), data: row.reliability.map((b) => ({ x: b.mean_probability, y: b.observed })), pointRadius: 3, ...style(i) })), { ...chance, label: "perfect" }],
      axis("stated probability", unit), axis("share with pneumonia", unit));
  };
  paint();
  document.addEventListener("themechange", paint);
})();
