"use strict";
(() => {
  const KEPT = "shadow-control-key";
  const find = (id) => document.getElementById(id);
  const [report, dialog] = [find("report"), find("controls")];
  const hasKeys = Boolean(find("key-form"));
  // What was asked for before there was a key, and is done once there is one.
  let waiting = null;
  let isInDialog = false;
  let hiding = 0;

  const say = (text, isBad = false) => {
    // A modal dialog hides the rest of the page, from screen readers too.
    const line = dialog.open && hasKeys ? find("control-said") : find("said");
    line.textContent = text;
    line.classList.toggle("bad", isBad);
    clearTimeout(hiding);
    if (line.id === "said") hiding = setTimeout(() => { line.textContent = ""; }, 8000);
  };

  const showKey = () => {
    const isThere = Boolean(sessionStorage.getItem(KEPT));
    find("key-form").hidden = isThere;
    find("key-there").hidden = !isThere;
  };

  const open = (text = "") => {
    if (!dialog.open) dialog.showModal();
    if (!hasKeys) return;
    find("close-sure").hidden = true;
    find("close-run").hidden = false;
    showKey();
    say(text, Boolean(text));
    if (!find("key-form").hidden) find("key").focus();
  };

  const forget = () => { sessionStorage.removeItem(KEPT); showKey(); };

  // Returns the document of the answer, or null when nothing was changed.
  const post = async (path, body) => {
    const key = sessionStorage.getItem(KEPT);
    let answer;
    try {
      answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
        body: JSON.stringify(body),
      });
    } catch {
      say("The collector does not answer, so nothing was changed.", true);
      return null;
    }
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    const why = found.detail || `the answer was ${answer.status}`;
    const sentence = `${why.charAt(0).toUpperCase()}${why.slice(1)}.`;
    if (answer.status === 401) {
      forget();
      open("This key is not in the file of keys; nothing was changed.");
    } else {
      say(sentence, true);
    }
    return null;
  };

  const withKey = (act) => {
    if (hasKeys && sessionStorage.getItem(KEPT)) return act();
    waiting = act;
    isInDialog = dialog.open;
    return open("This needs a control key; it is done as soon as you give one.");
  };

  // Where the switches are

  const shown = {};
  const show = (state) => {
    if (!hasKeys || !state) return;
    const { rate, killed, closed } = state;
    if (rate !== shown.rate && document.activeElement !== find("rate")) {
      find("rate").value = String(Number((100 * rate).toFixed(7)));
    }
    find("kill").textContent = killed ? "Call the shadow again" : "Stop calling the shadow";
    find("kill-note").textContent = killed
      ? "On: the shadow gets nothing, and nothing is copied."
      : "Off: the shadow is called. A stop is at once, also for copies that already wait.";
    for (const one of dialog.querySelectorAll("#rate-form input, #rate-form button, #kill, #close-run")) {
      one.disabled = closed;
    }
    find("close-run").textContent = closed ? "The run is closed" : "Close the run…";
    Object.assign(shown, state);
  };
  const showPage = () => {
    const data = find("switches")?.dataset;
    if (data) show({ rate: Number(data.rate), killed: data.killed === "true", closed: data.closed === "true" });
  };
  const change = (name, body, text) => withKey(async () => {
    const found = await post(`/controls/${name}`, body);
    if (!found) return;
    show({ rate: found.sample_rate, killed: found.killed, closed: found.closed });
    say(text);
    document.dispatchEvent(new Event("shadow:changed"));
  });

  find("controls-open").addEventListener("click", () => open());
  document.addEventListener("shadow:shown", showPage);
  dialog.addEventListener("close", () => { waiting = null; });
  if (hasKeys) {
    find("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, find("key").value.trim());
      find("key").value = "";
      showKey();
      const act = waiting;
      waiting = null;
      if (!act) {
        say("The key is used from now on.");
        find("rate").focus();
        return;
      }
      if (!isInDialog) dialog.close();
      act();
    });
    find("key-forget").addEventListener("click", () => {
      forget();
      say("The key is forgotten.");
      find("key").focus();
    });
    find("rate-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const percent = find("rate").value;
      change("sample-rate", { rate: Number(percent) / 100 }, `${percent} % of the requests are copied from now on.`);
    });
    find("kill").addEventListener("click", () => {
      const killed = !shown.killed;
      change("kill-switch", { killed }, killed ? "The shadow is not called any more." : "The shadow is called again.");
    });
    const ask = (isAsked) => {
      find("close-sure").hidden = !isAsked;
      find("close-run").hidden = isAsked;
      find(isAsked ? "close-no" : "close-run").focus();
    };
    find("close-run").addEventListener("click", () => ask(true));
    find("close-no").addEventListener("click", () => ask(false));
    find("close-yes").addEventListener("click", () => {
      ask(false);
      change("close-run", { closed: true }, "The run is closed.");
    });
    showPage();
  }

  // In the report: labels, and discrepancies that are known

  let isLabelling = false;
  document.addEventListener("shadow:shown", () => {
    // The question just answered is gone, and its button with it.
    if (isLabelling) (report.querySelector(".choices button") ?? report).focus({ preventScroll: true });
    isLabelling = false;
  });
  const label = (data) => withKey(async () => {
    const one = { request_id: data.request, row: Number(data.row), label: data.label };
    const found = await post("/labels", { labels: [one] });
    if (!found) return;
    isLabelling = true;
    if (found.joined) say(`Taken: it was ${data.label}. Whose answer that was is told under the last labels.`);
    else if (found.repeated) say("It has this label already.");
    else if (found.conflicting.length) say("It has another label already, which stays.", true);
    else say("The versions do not disagree there, so the label is not used.", true);
    document.dispatchEvent(new Event("shadow:changed"));
  });
  const undo = (data) => withKey(async () => {
    const found = await post("/labels/undo", { labels: [{ request_id: data.undo, row: Number(data.row) }] });
    if (!found) return;
    isLabelling = true;
    if (found.undone) say("The label is taken back, and asked for again.");
    else say("There is no such label any more.", true);
    document.dispatchEvent(new Event("shadow:changed"));
  });
  const mark = (form) => {
    const fields = JSON.parse(form.dataset.mark);
    for (const one of form.querySelectorAll("[data-field]")) fields[one.dataset.field] = one.value;
    return withKey(async () => {
      if (!(await post("/known", fields))) return;
      say(`Known until ${fields.expires}.`);
      // The page stands still while somebody types.
      if (report.contains(document.activeElement)) document.activeElement.blur();
      document.dispatchEvent(new Event("shadow:changed"));
    });
  };
  report.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-label]");
    if (button) label({ ...button.dataset });
    const back = event.target.closest("button[data-undo]");
    if (back) undo({ ...back.dataset });
  });
  report.addEventListener("submit", (event) => {
    if (!event.target.matches(".mark-form, .label-form")) return;
    event.preventDefault();
    if (event.target.matches(".mark-form")) {
      mark(event.target);
      return;
    }
    const field = event.target.querySelector("input");
    // The page stands still while somebody types.
    field.blur();
    label({ ...event.target.dataset, label: field.value.trim() });
  });
})();
