// Plots of a model's card. Colours come from the page's tokens, and follow its theme.
(() => {
  const card = JSON.parse(document.getElementById("card").textContent);
  const charts = [];
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const line = (label, data, colour, more = {}) =>
    ({ label, data, borderColor: token(colour), backgroundColor: token(colour), borderWidth: 2, pointRadius: 0, pointHitRadius: 8, tension: 0, ...more });
  const axis = (text, more = {}) =>
    ({ type: "linear", title: { display: true, text, color: token("--pw-muted") }, ticks: { color: token("--pw-muted") }, grid: { color: token("--pw-line") }, ...more });
  const draw = (id, datasets, x, y) => {
    charts.push(new Chart(document.getElementById(id), {
      type: "line",
      data: { datasets },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: true,
        interaction: { mode: "nearest", intersect: false },
        plugins: { legend: { labels: { color: token("--pw-text"), boxWidth: 18, boxHeight: 2 } } },
        scales: { x, y },
      },
    }));
  };
  const history = card.history ?? [];
  const by = (key) => history.filter((e) => e[key] != null).map((e) => ({ x: e.epoch, y: e[key] }));
  const unit = { min: 0, max: 1 };
  const paint = () => {
    while (charts.length) charts.pop().destroy();
    const best = history.find((e) => e.epoch === card.best_epoch);
    draw("plot-loss", [
      line("training", by("loss"), "--pw-muted"),
      line("validation", by("val_loss"), "--pw-accent"),
      ...(best ? [line("kept", [{ x: best.epoch, y: best.val_loss }], "--pw-strong", { pointRadius: 5, showLine: false })] : []),
    ], axis("epoch", { ticks: { precision: 0, color: token("--pw-muted") } }), axis("loss", { beginAtZero: true }));
    draw("plot-auc", [
      line("validation AUC", by("val_auc"), "--pw-accent"),
      line("validation accuracy", by("val_accuracy"), "--pw-normal"),
      line("training AUC", by("auc"), "--pw-muted"),
    ], axis("epoch", { ticks: { precision: 0, color: token("--pw-muted") } }), axis("", { max: 1 }));
    draw("plot-roc", [
      line("model", (card.roc ?? []).map(([x, y]) => ({ x, y })), "--pw-accent"),
      line("chance", [{ x: 0, y: 0 }, { x: 1, y: 1 }], "--pw-muted", { borderDash: [4, 4] }),
      line("threshold", [{ x: 1 - card.metrics.specificity, y: card.metrics.sensitivity }], "--pw-pneumonia", { pointRadius: 5, showLine: false }),
    ], axis("false alarms (1 − specificity)", unit), axis("sensitivity", unit));
    draw("plot-reliability", [
      line("films", (card.reliability ?? []).map((b) => ({ x: b.mean_probability, y: b.observed })), "--pw-accent", { pointRadius: 3 }),
      line("perfect", [{ x: 0, y: 0 }, { x: 1, y: 1 }], "--pw-muted", { borderDash: [4, 4] }),
    ], axis("stated probability", unit), axis("share with pneumonia", unit));
  };
  paint();
  document.addEventListener("themechange", paint);
})();
