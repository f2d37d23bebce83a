// Carries the files of batches to the server from whatever page of the site is open. What is still to be sent is kept
// in the browser (IndexedDB), so the transfer goes on after a page is left, a connection is lost, a tab is closed.
// One tab sends at a time. The server knows each file by its key, so sending one twice does no harm.
// Of a shared computer: files of another user are erased as soon as one logs in, and one's own on logging out.
window.carrier = (() => {
  const AT_ONCE = 2;
  const LONGEST_WAIT = 30;
  const { user, batches } = document.currentScript.dataset;
  const jobs = new Map();
  let running = false;
  let kept = true;
  let held = "";
  let failures = 0;
  let pill = null;

  // ---- what is kept in the browser
  const opened = new Promise((resolve, reject) => {
    const request = indexedDB.open("pneumoweb", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("files", { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  opened.catch(() => { kept = false; });

  const inStore = async (mode, act) => {
    const db = await opened;
    return new Promise((resolve, reject) => {
      const transaction = db.transaction("files", mode);
      const request = act(transaction.objectStore("files"));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(transaction.error);
      transaction.onerror = () => reject(transaction.error);
    });
  };

  const keep = async (list) => {
    for (const job of list) {
      if (!jobs.has(job.id)) continue;
      try {
        await inStore("readwrite", (store) => store.put(job));
        job.stored = true;
        // It may have been sent meanwhile.
        if (!jobs.has(job.id)) await forget(job.id);
      } catch (error) {
        kept = false;
        console.warn("this browser keeps no files", error);
        tell();
        return;
      }
    }
  };

  const forget = (id) => inStore("readwrite", (store) => store.delete(id)).catch(() => { kept = false; });

  const recall = async () => {
    let records;
    const stored = [...jobs.values()].filter((one) => one.stored);
    try {
      const ids = await inStore("readonly", (store) => store.getAllKeys());
      const mine = ids.filter((id) => id.startsWith(`${user}/`));
      for (const id of ids) if (!mine.includes(id)) await forget(id);
      records = await Promise.all(mine.map((id) => inStore("readonly", (store) => store.get(id))));
    } catch {
      kept = false;
      return;
    }
    for (const job of records) if (job && !jobs.has(job.id)) jobs.set(job.id, Object.assign(job, { stored: true, received: undefined }));
    // What another tab has sent meanwhile.
    for (const { id } of stored) if (!records.some((record) => record?.id === id)) jobs.delete(id);
  };

  // ---- what is said about it
  const tell = () => {
    const left = jobs.size;
    document.dispatchEvent(new CustomEvent("carrier", { detail: { left, held, kept } }));
    if (!left) {
      pill?.remove();
      pill = null;
      return;
    }
    if (!pill) {
      pill = document.createElement("a");
      pill.className = "carrier";
      document.body.append(pill);
    }
    const first = jobs.values().next().value;
    const text = first.kind === "zip"
      ? `Sending ${first.name}: ${Math.floor(100 * (first.received ?? 0) / Math.max(first.size, 1))} %`
      : `Sending: ${left} film${left === 1 ? "" : "s"} left`;
    pill.href = `${batches}${first.batch}/`;
    pill.classList.toggle("held", Boolean(held));
    pill.textContent = held || text;
    pill.title = kept ? "You may go to any page; the transfer goes on." : "This browser keeps no files: stay on this page until all are sent.";
  };

  const pause = (why) => {
    held = why;
    tell();
    const seconds = Math.min(LONGEST_WAIT, 2 ** failures);
    return new Promise((resolve) => {
      window.addEventListener("online", resolve, { once: true });
      setTimeout(resolve, seconds * 1000);
    });
  };

  // ---- sending
  const post = async (address, fields) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.append(name, ...[value].flat());
    const token = document.querySelector("input[name=csrfmiddlewaretoken]")?.value ?? "";
    const answer = await fetch(address, { method: "POST", body: data, headers: { "X-CSRFToken": token, Accept: "application/json" } });
    return { status: answer.redirected ? 401 : answer.status, said: await answer.json().catch(() => ({})) };
  };

  const readable = (job) => job.file.slice(0, 1).arrayBuffer().then(() => true, () => false);

  const sendFilm = (job) => post(`${batches}${job.batch}/films/`, { key: job.id.split("/")[2], film: [job.file, job.name] });

  const sendZip = async (job) => {
    if (job.received === undefined) {
      const asked = await post(`${batches}${job.batch}/zip/`, {});
      if (asked.status !== 200) return asked;
      job.received = asked.said.received;
    }
    while (job.received < job.size) {
      const part = job.file.slice(job.received, job.received + job.part);
      const answer = await post(`${batches}${job.batch}/zip/`, { offset: String(job.received), part: [part, "part"] });
      if (answer.status !== 200 && answer.status !== 409) return answer;
      if (answer.status === 409 && answer.said.received === job.received) return answer;
      job.received = answer.said.received;
      failures = 0;
      held = "";
      tell();
    }
    return { status: 200, said: {} };
  };

  const drop = async (job) => {
    jobs.delete(job.id);
    await forget(job.id);
    tell();
  };

  // Returns whether to go on with another film.
  const carry = async (job) => {
    let answer;
    try {
      answer = await (job.kind === "zip" ? sendZip(job) : sendFilm(job));
    } catch {
      if (!await readable(job)) {
        await drop(job);
        return true;
      }
      failures += 1;
      await pause("Connection lost; nothing of what arrived is sent again");
      return true;
    }
    if (answer.status === 401 || answer.status === 403 && !answer.said.fault) {
      held = "Log in again to go on sending";
      tell();
      return false;
    }
    if (answer.status >= 500 || answer.status === 429) {
      failures += 1;
      await pause(answer.said.fault ?? "The server is busy; it is tried again");
      return true;
    }
    // Taken in, refused for a reason that the batch's page shows, or a batch that is gone: done with it either way.
    failures = 0;
    held = "";
    await drop(job);
    return true;
  };

  const lane = async (busy) => {
    for (;;) {
      const job = [...jobs.values()].find((one) => !busy.has(one.id));
      if (!job) return;
      busy.add(job.id);
      const going = await carry(job);
      busy.delete(job.id);
      if (!going) return;
    }
  };

  const drain = async () => {
    await recall();
    tell();
    const busy = new Set();
    await Promise.all(Array.from({ length: AT_ONCE }, () => lane(busy)));
  };

  const run = async () => {
    if (running) return;
    running = true;
    try {
      // Browsers know locks only on secure addresses; without them two tabs may send the same film twice, harmlessly.
      await (navigator.locks ? navigator.locks.request("pneumoweb-carrier", drain) : drain());
    } finally {
      running = false;
    }
  };

  const job = (batch, key, kind, file, name, more = {}) => ({ id: `${user}/${batch}/${key}`, batch, kind, file, name, size: file.size, ...more });

  // Files that the server wants: [{key, file, name}], and perhaps a zip of which it has some bytes already.
  const add = (batch, films, zip = null) => {
    const fresh = films.map(({ key, file, name }) => job(batch, key, "film", file, name));
    if (zip) fresh.push(job(batch, "zip", "zip", zip.file, zip.name, { part: zip.part, received: zip.received }));
    for (const one of fresh) jobs.set(one.id, one);
    held = "";
    tell();
    const keeping = keep(fresh);
    run().then(() => { if (jobs.size && !held) run(); });
    return keeping;
  };

  document.addEventListener("submit", (event) => {
    if (!event.target.getAttribute("action")?.includes("/accounts/logout")) return;
    jobs.clear();
    indexedDB.deleteDatabase("pneumoweb");
  });
  window.addEventListener("beforeunload", (event) => { if (jobs.size && !kept) event.preventDefault(); });
  window.addEventListener("pageshow", () => run());
  return { add };
})();
