// Sends each film in a request of its own, two at a time, with one bar for all of them. The server answers with the
// film's row, which then asks for its state by itself (htmx). A film that could not be sent can be sent again:
// the server finds what it has already.
(() => {
  const AT_ONCE = 2;
  const form = document.getElementById("upload");
  const input = document.getElementById("films");
  const drop = document.getElementById("drop");
  const list = document.getElementById("arrivals");
  const bar = document.getElementById("transfer-bar");
  const count = document.getElementById("transfer-count");
  const waiting = [];
  const sent = new Map();
  let running = 0, total = 0, done = 0, bytes = 0, refused = 0, asking = 0;

  const tell = () => {
    let now = 0;
    for (const n of sent.values()) now += n;
    bar.max = Math.max(bytes, 1);
    bar.value = now;
    count.textContent = total === 0 ? "no films yet"
      : done < total ? `${done} of ${total} sent`
      : [`${total - refused - asking} taken in`, asking && `${asking} to be answered`, refused && `${refused} not`]
        .filter(Boolean).join(", ");
  };

  const placeholder = (file) => {
    const row = document.createElement("li");
    row.className = "arrival";
    row.innerHTML = '<span class="thumb" aria-hidden="true"></span><div><div class="file"></div><progress max="1" value="0"></progress></div><span class="answer queued"></span>';
    row.querySelector(".file").textContent = file.name;
    row.querySelector("progress").setAttribute("aria-label", `Transfer of ${file.name}`);
    row.querySelector(".answer").textContent = "Waiting to be sent";
    list.append(row);
    return row;
  };

  const again = (job, row, answer = job.answer) => {
    done -= 1;
    sent.set(job.id, 0);
    const fresh = placeholder(job.file);
    row.replaceWith(fresh);
    waiting.push({ ...job, row: fresh, answer });
    tell();
    next();
  };

  // The file names another patient: it is sent again with the answer, or left out.
  const ask = (job, row) => {
    asking += 1;
    for (const button of row.querySelectorAll("[data-answer]")) {
      button.addEventListener("click", () => {
        asking -= 1;
        again(job, row, button.dataset.answer);
      });
    }
    row.querySelector("[data-leave]").addEventListener("click", () => {
      asking -= 1;
      refused += 1;
      tell();
      for (const button of row.querySelectorAll("button")) button.remove();
      row.querySelector(".answer span").textContent = "Left out";
    });
  };

  const fail = (job, text) => {
    refused += 1;
    const row = placeholder(job.file);
    row.querySelector("progress").remove();
    const why = document.createElement("p");
    why.className = "why";
    why.textContent = text;
    row.querySelector("div").append(why);
    const retry = document.createElement("button");
    retry.type = "button";
    retry.className = "btn btn-quiet btn-sm";
    retry.textContent = "Send again";
    retry.addEventListener("click", () => {
      refused -= 1;
      again(job, row);
    });
    row.lastElementChild.replaceChildren(retry);
    job.row.replaceWith(row);
  };

  const send = (job) => {
    running += 1;
    job.row.querySelector(".answer").textContent = "Being sent";
    const data = new FormData(form);
    data.delete("films");
    data.append("films", job.file, job.file.name);
    for (const [name, value] of new URLSearchParams(job.answer ?? "")) data.set(name, value);
    const request = new XMLHttpRequest();
    request.open("POST", form.action || location.href);
    request.setRequestHeader("X-Requested-With", "upload");
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      job.row.querySelector("progress").value = event.loaded / event.total;
      sent.set(job.id, job.file.size * event.loaded / event.total);
      tell();
    });
    request.upload.addEventListener("load", () => { job.row.querySelector(".answer").textContent = "Being checked"; });
    request.addEventListener("loadend", () => {
      running -= 1;
      done += 1;
      sent.set(job.id, job.file.size);
      const type = request.getResponseHeader("Content-Type") ?? "";
      const ended = request.status && new URL(request.responseURL).pathname.startsWith("/accounts/login");
      if (request.status === 0) {
        fail(job, "The connection was lost. The film was not sent; the others go on. Send it again once you are back online.");
      } else if (ended) {
        fail(job, "Your session has ended. Log in again in another tab, then send this film again.");
      } else if (type.startsWith("text/html") && request.responseText.trimStart().startsWith("<li")) {
        const frame = document.createElement("template");
        frame.innerHTML = request.responseText.trim();
        const row = frame.content.firstElementChild;
        // From 500 on nothing is wrong with the film: it gets a button to send it again.
        if (request.status >= 500) fail(job, row.querySelector(".why").textContent);
        else {
          job.row.replaceWith(row);
          htmx.process(row);
          if (row.matches("[data-mismatch]")) ask(job, row);
          else if (request.status >= 400) refused += 1;
        }
      } else {
        fail(job, `The server could not take this film in (${request.status}). Nothing was kept of it; send it again.`);
      }
      tell();
      next();
    });
    request.send(data);
  };

  const next = () => {
    while (running < AT_ONCE && waiting.length) send(waiting.shift());
  };

  const add = (files) => {
    const films = [...files];
    const limit = Number(form.dataset.limitFilms);
    if (films.length > limit) {
      count.textContent = `${films.length} films are too many for one upload: send at most ${limit} at a time.`;
      return;
    }
    if (!form.reportValidity()) return;
    for (const file of films) {
      total += 1;
      bytes += file.size;
      const job = { file, id: Symbol(file.name), row: placeholder(file) };
      sent.set(job.id, 0);
      if (file.size > Number(form.dataset.limitMb) * 1024 * 1024) {
        done += 1;
        sent.set(job.id, file.size);
        fail(job, `The file is larger than ${form.dataset.limitMb} MB. Export the film as JPEG or as 8-bit PNG and send that.`);
      } else {
        waiting.push(job);
      }
    }
    tell();
    next();
  };

  const take = () => {
    add(input.files);
    input.value = "";
  };
  input.addEventListener("change", take);
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    input.click();
  });
  window.addEventListener("beforeunload", (event) => { if (running || waiting.length) event.preventDefault(); });
  // On a slow connection films may have been chosen before this script came.
  if (input.files.length) take();
})();
