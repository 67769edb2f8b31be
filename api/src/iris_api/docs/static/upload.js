// The part of the page where a file is dropped, scored and downloaded again.

import { byId, el, say } from "./dom.js";
import { formatRecord, parseCsv } from "./csv.js";
import { checkHeader, scoreRecords } from "./scoring.js";
import { count, plural } from "./text.js";

const MOST_BYTES = 20 * 1024 * 1024;
const MOST_SHOWN = 100;

export function createUpload(data, client) {
  const names = data.features.map((feature) => feature.name);
  const limits = { names, rows: data.max_rows, bytes: data.max_bytes };
  let running = null;
  byId("columns").textContent = `Columns: ${names.join(", ")}; others are kept as they are.`;

  async function take(file) {
    if (!file) return;
    running?.abort();
    const control = running = new AbortController();
    clear();
    try {
      await score(file, limits, data.classes, client, control.signal);
    } catch (error) {
      if (control.signal.aborted && running !== control) return; // another file came
      byId("progress").hidden = true;
      // fetch throws a TypeError, in words of the browser, when nobody answers.
      const gone = error instanceof TypeError;
      say(byId("file-error"), gone ? "The service does not answer; try again later." : error.message);
    }
  }

  async function takeChosen() {
    await take(input.files[0]);
    input.value = ""; // the same file again is a change again
  }

  const input = byId("file");
  input.addEventListener("change", takeChosen);
  takeChosen(); // somebody may have been quicker than this page
  byId("stop").addEventListener("click", () => running?.abort(new Error("Stopped.")));
  acceptDrops(byId("drop"), take);
}

function acceptDrops(zone, take) {
  // Dropped beside the zone, a file must not replace the page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => event.preventDefault());
  const over = (is) => () => zone.classList.toggle("over", is);
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", over(false));
  zone.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
}

function clear() {
  for (const id of ["result", "refused", "result-note", "file-error", "progress"]) {
    byId(id).hidden = true;
  }
}

async function score(file, limits, classes, client, signal) {
  if (file.size > MOST_BYTES) {
    throw new Error(`${file.name} is larger than the 20 MB that a browser should hold; split it.`);
  }
  const [first, ...records] = parseCsv(await readText(file));
  if (!first || !records.length) throw new Error(`${file.name} holds no rows below a header.`);
  const header = first.cells.map((cell) => cell.trim());
  const fault = checkHeader(header, limits.names);
  if (fault) throw new Error(fault);

  const results = [];
  const onWait = (seconds) => {
    byId("progress-text").textContent = `The service is busy; going on in ${seconds} s`;
  };
  const onProgress = (done) => showProgress(done, records.length);
  onProgress(0);
  const post = (body) => client.post(body, { signal, onWait });
  await scoreRecords(header, records, limits, post, results, onProgress);
  byId("progress").hidden = true;
  showResult(file.name, header, records, results, classes);
}

async function readText(file) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is not text in UTF-8; save it as CSV UTF-8.`);
  }
}

function showProgress(done, all) {
  byId("progress").hidden = false;
  byId("bar").max = all;
  byId("bar").value = done;
  byId("progress-text").textContent = `${count(done)} of ${plural(all, "row")}`;
}

function showResult(name, header, records, results, classes) {
  const refused = results.flatMap((result, i) =>
    (result.faults ?? []).map((fault) => ({ line: records[i].line, ...fault })));
  const bad = results.filter((result) => result.faults).length;
  byId("result").hidden = false;
  byId("result-text").textContent = summarise(results, bad, classes);
  const outside = results.filter((r) => r.prediction?.out_of_range.length).length;
  const note = outside ? `${plural(outside, "row")} outside the training rows: see the column out_of_range.` : "";
  say(byId("result-note"), note);
  showRefused(refused);
  offer(name.replace(/\.csv$/i, "") + "_scored.csv", resultAsCsv(header, records, results, classes));
  byId("result-text").focus();
}

function summarise(results, bad, classes) {
  const labels = results.filter((r) => r.prediction).map((r) => r.prediction.label);
  const parts = classes
    .map((name) => [name, labels.filter((label) => label === name).length])
    .filter(([, number]) => number)
    .map(([name, number]) => `${count(number)} ${name}`);
  const good = `${plural(labels.length, "row")} scored${parts.length ? `: ${parts.join(", ")}` : ""}`;
  return bad ? `${good}; ${plural(bad, "row")} refused.` : `${good}.`;
}

function showRefused(refused) {
  byId("refused").hidden = !refused.length;
  const rows = refused.slice(0, MOST_SHOWN).map(({ line, pointer, detail }) =>
    el("tr", {}, el("td", {}, String(line)), el("td", {}, detail), el("td", {}, el("code", {}, pointer))));
  const more = refused.length - rows.length;
  const caption = more > 0 ? `Refused rows; ${count(more)} more are in the file` : "Refused rows";
  const head = ["Line", "Reason", "Pointer"].map((text) => el("th", { scope: "col" }, text));
  byId("refused").replaceChildren(el("table", {},
    el("caption", {}, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}

// The columns that `iris-model score` adds, and where the API says the fault is.
function resultAsCsv(header, records, results, classes) {
  const shares = classes.map((name) => `probability_${name}`);
  const lines = [[...header, "label", ...shares, "out_of_range", "reason", "pointer"]];
  results.forEach(({ prediction, faults = [] }, i) => {
    const { cells } = records[i];
    const kept = header.map((_, column) => cells[column] ?? "");
    const answer = prediction
      ? [prediction.label, ...classes.map((name) => String(prediction.probabilities[name])),
        prediction.out_of_range.join(";")]
      : ["", ...classes.map(() => ""), ""];
    lines.push([...kept, ...answer,
      faults.map((fault) => fault.detail).join("; "), faults.map((fault) => fault.pointer).join("; ")]);
  });
  return lines.map((cells) => `${formatRecord(cells)}\r\n`).join("");
}

function offer(name, text) {
  const link = byId("download");
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.textContent = `Download ${name}`;
}
