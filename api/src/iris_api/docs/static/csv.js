// CSV as in RFC 4180, and what spreadsheets make of it: semicolons, tabs, a BOM.

const DELIMITERS = [",", ";", "\t"];

// Returns records as { line, cells }; `line` is where the record begins, from 1.
export function parseCsv(text) {
  const clean = text.startsWith("\uFEFF") ? text.slice(1) : text;
  const delimiter = sniff(clean);
  const records = [];
  let cells = [], cell = "", line = 1, begun = 1, quoted = false;
  const endCell = () => { cells.push(cell); cell = ""; };
  const endRecord = () => {
    endCell();
    if (cells.length > 1 || cells[0].trim() !== "") records.push({ line: begun, cells });
    cells = [];
    begun = line;
  };
  for (let i = 0; i < clean.length; i += 1) {
    const c = clean[i];
    if (c === "\n" || (c === "\r" && clean[i + 1] !== "\n")) line += 1;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (clean[i + 1] === '"') { cell += '"'; i += 1; } else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === delimiter) endCell();
    else if (c === "\n" || (c === "\r" && clean[i + 1] !== "\n")) endRecord();
    else if (c !== "\r") cell += c;
  }
  if (cell !== "" || cells.length) endRecord();
  return records;
}

export function formatRecord(cells) {
  return cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",");
}

function sniff(text) {
  const header = text.slice(0, text.search(/[\r\n]|$/));
  const columns = (delimiter) => header.split(delimiter).length;
  return DELIMITERS.reduce((best, one) => (columns(one) > columns(best) ? one : best));
}
