// The pages of a batch: choose a folder, films or a zip, tell the server what will come, hand it to the carrier.
(() => {
  let chosen = [];
  let carried = false;

  const settings = () => (document.getElementById("batch-form") ?? document.getElementById("batch")).dataset;
  const isZip = (entry) => /\.zip$/i.test(entry.path) || entry.file.type === "application/zip";
  const isManifest = (entry) => entry.path.toLowerCase() === "manifest.csv";
  const megabytes = (bytes) => `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0)} MB`;

  const say = (faults) => {
    const box = document.getElementById("batch-faults");
    box.hidden = !faults.length;
    const list = document.createElement("ul");
    for (const fault of faults) {
      const line = document.createElement("li");
      line.textContent = fault;
      list.append(line);
    }
    box.replaceChildren(list);
  };

  // The chosen folder's own name is no part of a film's path: it may be another one next time.
  const fromInput = (files) => [...files].map((file) => ({
    file,
    path: file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name,
    folder: file.webkitRelativePath.split("/")[0],
  }));

  const inFolder = async (entry, prefix) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
      return [{ file, path: prefix + entry.name, folder: "" }];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      // A reader gives a hundred names at a time.
      const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (!some.length) return found;
      for (const inner of some) found.push(...await inFolder(inner, `${prefix}${entry.name}/`));
    }
  };

  const fromDrop = async (transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return fromInput(transfer.files);
    const found = (await Promise.all(entries.map((entry) => inFolder(entry, "")))).flat();
    if (entries.length > 1 || entries[0].isFile) return found;
    return found.map((one) => ({ ...one, path: one.path.split("/").slice(1).join("/"), folder: entries[0].name }));
  };

  const choose = (entries) => {
    chosen = entries;
    const manifest = document.getElementById("id_manifest");
    const zips = entries.filter(isZip);
    const films = entries.filter((one) => !isManifest(one));
    const size = entries.reduce((sum, one) => sum + one.file.size, 0);
    const limits = settings();
    const faults = [];
    if (zips.length && entries.length > 1) faults.push("A zip is sent by itself: choose one zip, or films without a zip.");
    else if (zips.length && size > limits.limitZipMb * 1024 ** 2) faults.push(`The zip is larger than ${(limits.limitZipMb / 1024).toFixed(1)} GB. Send the films in several smaller zips.`);
    say(faults);
    if (faults.length) chosen = [];
    document.getElementById("batch-choice").textContent = !entries.length ? "Drop a folder, films or a zip here"
      : zips.length ? `${zips[0].file.name}, ${megabytes(size)}`
      : `${films.length} file${films.length === 1 ? "" : "s"}, ${megabytes(size)}`;
    const name = document.getElementById("id_name");
    const suggestion = entries[0]?.folder || (zips.length ? zips[0].file.name.replace(/\.zip$/i, "") : "");
    if (name && suggestion && (!name.value || name.dataset.suggested === name.value)) {
      name.value = suggestion.slice(0, 120);
      name.dataset.suggested = name.value;
    }
    const inside = entries.find(isManifest);
    if (inside && manifest && !manifest.files.length) {
      const transfer = new DataTransfer();
      transfer.items.add(inside.file);
      manifest.files = transfer.files;
    }
    if (document.getElementById("batch-more") && chosen.length) send();
  };

  const listing = (entries) => {
    const facts = ({ file, path }) => ({ path, size: file.size, modified: String(file.lastModified) });
    const zip = entries.find(isZip);
    return JSON.stringify({ films: zip ? [] : entries.map(facts), zip: zip ? facts(zip) : null });
  };

  const hand = (answer, entries) => {
    const zip = entries.find(isZip);
    if (zip) return carrier.add(answer.batch, [], { file: zip.file, name: zip.file.name, part: Number(settings().part), received: answer.zip });
    const wanted = answer.films.map(({ key, state }, place) => ({ key, state, file: entries[place].file, name: entries[place].path.split("/").pop() }));
    return carrier.add(answer.batch, wanted.filter(({ state }) => state === "wanted"));
  };

  const send = async () => {
    const form = document.getElementById("batch-form");
    const entries = chosen.filter((one) => !isManifest(one));
    if (!entries.length) return say(["Choose a folder, films or a zip first."]);
    const data = form ? new FormData(form) : new FormData(document.getElementById("batch-more"));
    data.delete("films");
    data.append("listing", listing(entries));
    const button = document.getElementById("batch-send");
    if (button) button.disabled = true;
    try {
      const address = form ? location.pathname : document.getElementById("batch").dataset.announce;
      const response = await fetch(address, { method: "POST", body: data, headers: { Accept: "application/json" } });
      if (response.redirected) return say(["Your session has ended. Log in again in another tab, then send the batch again."]);
      const answer = await response.json();
      if (!response.ok) return say(answer.faults);
      say([]);
      hand(answer, entries);
      const here = answer.url ?? location.pathname;
      // Not a new page: the browser may be one that keeps no files, and then they live in this one.
      if (answer.url) history.pushState(null, "", answer.url);
      await htmx.ajax("GET", here, { target: "#content", select: "#content", swap: "outerHTML" });
    } catch (error) {
      console.warn(error);
      say(["The server could not be reached. Nothing was sent; try again."]);
    } finally {
      if (button) button.disabled = false;
    }
    return undefined;
  };

  document.addEventListener("change", (event) => {
    if (["batch-folder", "batch-files"].includes(event.target.id)) choose(fromInput(event.target.files));
  });
  document.addEventListener("submit", (event) => {
    if (!["batch-form", "batch-more"].includes(event.target.id)) return;
    event.preventDefault();
    send();
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      document.getElementById("batch-drop")?.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.getElementById("batch-drop")?.classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.getElementById("batch-drop")?.classList.remove("over");
    choose(await fromDrop(event.dataTransfer));
  });
  document.addEventListener("carrier", (event) => {
    const { left, kept } = event.detail;
    carried ||= left > 0;
    // Films are missing that this browser does not have: they have to be chosen again.
    if (!carried) document.querySelector("#batch-again[data-missing]")?.setAttribute("open", "");
    if (left && !kept) say(["This browser keeps no files: stay on this page until all are sent. If you leave, choose the same folder again; only what is missing is sent."]);
  });
  // More films to be assigned come by themselves, but never under the hands of one who is answering.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!event.target.matches?.("[data-more]")) return;
    const asked = document.getElementById("undecided");
    if (asked.contains(document.activeElement) || asked.querySelector("input[name=arrivals]:not(:checked)")) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "undecided") document.querySelector("[data-more]")?.remove();
  });
  window.addEventListener("popstate", () => location.reload());
  // On a slow connection files may have been chosen before this script came.
  for (const input of document.querySelectorAll("#batch-folder, #batch-files")) if (input.files.length) choose(fromInput(input.files));
})();
