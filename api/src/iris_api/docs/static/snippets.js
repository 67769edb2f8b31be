// The visitor's row as a curl command and as a Python program.

import { byId } from "./dom.js";

const KEY = "API_KEY"; // of the environment: the key itself is never written out

export function curlCommand(url, row, keyed) {
  const body = `{"inputs": [${JSON.stringify(row, null, 2)}]}`;
  const key = keyed ? `  -H "X-API-Key: $${KEY}" \\\n` : "";
  return `curl -s ${quote(url)} \\\n  -H 'Content-Type: application/json' \\\n${key}  -d ${quote(body)}`;
}

export function pythonProgram(url, row, keyed) {
  // A JSON object of numbers is a Python dictionary as it is.
  const fields = JSON.stringify(row, null, 4);
  const key = keyed ? `    headers={"X-API-Key": os.environ["${KEY}"]},\n` : "";
  return `${keyed ? "import os\n\n" : ""}import httpx

row = ${fields}
answer = httpx.post(
    ${JSON.stringify(url)},
${key}    json={"inputs": [row]},
)
answer.raise_for_status()
print(answer.json()["predictions"][0])`;
}

export function createSnippets(client) {
  for (const [button, source] of [["copy-curl", "curl"], ["copy-python", "python"]]) {
    byId(button).addEventListener("click", () => copy(byId(button), byId(source)));
  }
  return {
    show(row) {
      byId("curl").textContent = curlCommand(client.url, row, client.hasKey());
      byId("python").textContent = pythonProgram(client.url, row, client.hasKey());
    },
  };
}

function quote(text) {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

async function copy(button, source) {
  const done = await toClipboard(source);
  byId("copied").textContent = done ? "Copied." : "Selected: press Ctrl+C to copy.";
  const before = button.dataset.text ?? button.textContent;
  button.dataset.text = before;
  button.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => { button.textContent = before; }, 1600);
}

async function toClipboard(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    // No clipboard without HTTPS: select the text and ask the old way.
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}
