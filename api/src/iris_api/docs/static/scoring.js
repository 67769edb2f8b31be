// Score a parsed CSV: chunks that the API takes, and its own reason for each bad row.

import { Refused } from "./client.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const LOOSE_NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const LONGEST_NUMBER = 40;
const UNANSWERABLE = new Set([400, 413, 422]);

// Says what is wrong with a header, or "" when every feature is in it once.
export function checkHeader(header, names) {
  const twice = names.filter((name) => header.filter((one) => one === name).length > 1);
  if (twice.length) return `Column ${twice.join(", ")} is there more than once; keep one.`;
  const missing = names.filter((name) => !header.includes(name));
  if (!missing.length) return "";
  return `The first line must name the columns. Missing: ${missing.join(", ")}.`;
}

// Fills `results`, one a record: { prediction } or { faults: [{ pointer, detail }] }.
export async function scoreRecords(header, records, limits, post, results, onProgress) {
  const columns = limits.names.map((name) => [JSON.stringify(name), header.indexOf(name)]);
  const frame = sizeOf('{"inputs":[]}');
  let chunk = [], bytes = frame;
  const flush = async () => {
    if (chunk.length) await answerRows(chunk, post, results);
    chunk = [];
    bytes = frame;
  };
  for (const [index, record] of records.entries()) {
    const json = rowAsJson(record.cells, columns);
    const size = sizeOf(json) + 1;
    const fault = checkRecord(record, header.length, size + frame, limits.bytes);
    if (fault) {
      results[index] = { faults: [{ pointer: `/inputs/${index}`, detail: fault }] };
      continue;
    }
    if (chunk.length === limits.rows || bytes + size > limits.bytes) {
      await flush();
      onProgress(index);
    }
    chunk.push({ index, json });
    bytes += size;
  }
  await flush();
  onProgress(records.length);
}

function checkRecord(record, columns, size, most) {
  if (record.cells.length !== columns) {
    return `has ${record.cells.length} cells; the header has ${columns}`;
  }
  return size > most ? `is larger than the ${most} bytes that a request may have` : "";
}

// An empty cell is a missing field and a word stays a word: the API judges them.
function rowAsJson(cells, columns) {
  const fields = columns
    .map(([name, column]) => [name, (cells[column] ?? "").trim()])
    .filter(([, cell]) => cell !== "")
    .map(([name, cell]) => `${name}:${cellAsJson(cell)}`);
  return `{${fields.join(",")}}`;
}

function cellAsJson(cell) {
  if (NUMBER.test(cell) && cell.length <= LONGEST_NUMBER) return cell;
  if (!LOOSE_NUMBER.test(cell)) return JSON.stringify(cell);
  const number = Number(cell);
  return Number.isFinite(number) ? String(number) : "1e999";
}

// A refusal lists at most so many faults. The next request then goes no further than
// its list did, or few rows would be learnt of from many requests for all of them.
async function answerRows(rows, post, results) {
  let left = rows;
  let size = rows.length;
  while (left.length) {
    const batch = left.slice(0, size);
    try {
      const { predictions } = await post(`{"inputs":[${batch.map((row) => row.json).join(",")}]}`);
      batch.forEach((row, i) => { results[row.index] = { prediction: predictions[i] }; });
      left = left.slice(size);
      size *= 2;
    } catch (error) {
      if (!(error instanceof Refused) || !UNANSWERABLE.has(error.status)) throw error;
      const bad = faultsByRow(error, batch);
      bad.forEach((faults, i) => { results[batch[i].index] = { faults }; });
      left = left.filter((_, i) => !bad.has(i));
      size = nextSize(bad, batch.length, error.problem.more_errors);
    }
  }
}

function nextSize(bad, size, more) {
  if (bad.size === 0) return size >> 1; // it does not say which row: halve
  return more ? Math.max(...bad.keys()) + 1 : size * 2;
}

// Pointers count from the start of a request; here they count from that of the file.
function faultsByRow({ problem, message }, rows) {
  const found = new Map();
  for (const { pointer, detail } of problem.errors ?? []) {
    const [, inputs, position, ...rest] = pointer.split("/");
    const row = inputs === "inputs" ? rows[Number(position || NaN)] : undefined;
    if (!row) continue;
    const faults = found.get(Number(position)) ?? [];
    faults.push({ pointer: ["", inputs, row.index, ...rest].join("/"), detail });
    found.set(Number(position), faults);
  }
  if (found.size === 0 && rows.length === 1) {
    found.set(0, [{ pointer: `/inputs/${rows[0].index}`, detail: message }]);
  }
  return found;
}

const encoder = new TextEncoder();
const sizeOf = (text) => encoder.encode(text).length;
