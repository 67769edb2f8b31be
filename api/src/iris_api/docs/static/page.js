// Start here: fetch what the page knows of the model, and wire its parts.

import { createAnswer } from "./answer.js";
import { createClient, Refused } from "./client.js";
import { byId, el, say } from "./dom.js";
import { badge } from "./marks.js";
import { createScatter } from "./scatter.js";
import { createSliders } from "./sliders.js";
import { createSnippets } from "./snippets.js";
import { count } from "./text.js";
import { createUpload } from "./upload.js";

const AGAIN_MS = 2000;

try {
  const client = createClient(askKey);
  start(await client.get("page/data.json"), client);
} catch (error) {
  say(byId("alert"), `The page could not be set up: ${error.message}. Load it again.`);
  throw error;
}

function start(data, client) {
  introduce(data);
  const answer = createAnswer(data);
  const snippets = createSnippets(client);
  const values = [...data.examples[0].values];
  const row = () => Object.fromEntries(data.features.map((f, i) => [f.name, values[i]]));
  let busy = false;
  let changed = false;

  // One request at a time: what changed meanwhile is asked in the next one.
  async function refresh() {
    changed = true;
    snippets.show(row());
    markExample(values);
    if (busy) return;
    busy = true;
    while (changed) {
      changed = false;
      await ask();
    }
    busy = false;
  }

  async function ask() {
    const onWait = (s) => answer.fail(`The service is busy; asking again in ${s} s.`);
    try {
      const { predictions } = await client.post(JSON.stringify({ inputs: [row()] }), { onWait });
      answer.show(predictions[0]);
      scatter.move(values, data.classes.indexOf(predictions[0].label));
      snippets.show(row());
    } catch (error) {
      answer.fail(explain(error));
      if (!(error instanceof Refused)) setTimeout(refresh, AGAIN_MS);
    }
  }

  function move(changes) {
    changes.forEach(([position, value]) => { values[position] = value; });
    sliders.set(values);
    refresh();
  }

  for (const id of ["bench", "code", "scoring"]) byId(id).hidden = false;
  const scatter = createScatter(data, move);
  const sliders = createSliders(byId("sliders"), data.features, (position, value) => {
    values[position] = value;
    refresh();
  });
  const markExample = offerExamples(data, (example) => move(example.values.map((value, i) => [i, value])));
  createUpload(data, client);
  move([]);
}

function explain(error) {
  if (!(error instanceof Refused)) return "The service does not answer; trying again.";
  const [fault] = error.problem.errors ?? [];
  return `No answer: ${fault ? fault.detail : error.message}.`;
}

function introduce(data) {
  const { name, version, engine } = data.model;
  document.title = `Predict the ${data.target} · ${name} ${version}`;
  byId("name").textContent = name;
  byId("version").textContent = version;
  byId("title").textContent = `Predict the ${data.target}`;
  if (data.purpose) byId("purpose").textContent = data.purpose;
  say(byId("limits"), data.limits);
  byId("about").textContent = `iris_api ${data.api_version}, ${engine}. Each answer on this page is a request to the API and goes on its record.`;
  const facts = [];
  if (data.accuracy) {
    const [mean, error] = [data.accuracy.mean, data.accuracy.sampling_error].map((share) => (share * 100).toFixed(1));
    facts.push([`Cross-validated accuracy ± sampling error of ${count(data.accuracy.rows)} rows`, `${mean} ± ${error} %`]);
  }
  facts.push(["Classes", count(data.classes.length)]);
  if (data.rows.length) facts.push(["Training rows", count(data.rows.length)]);
  byId("facts").replaceChildren(...facts.map(([what, value]) =>
    el("div", {}, el("dt", {}, what), el("dd", {}, value))));
}

function offerExamples({ examples, classes }, choose) {
  const labels = examples.map(({ label }) => label);
  const buttons = examples.map((example, i) => {
    const before = labels.slice(0, i).filter((label) => label === example.label).length;
    const name = before ? `${example.label} ${before + 1}` : example.label;
    const button = el("button", { type: "button" }, badge(classes.indexOf(example.label)), name);
    button.addEventListener("click", () => choose(example));
    return button;
  });
  byId("examples").replaceChildren(...buttons);
  return (values) => buttons.forEach((button, i) => {
    const same = examples[i].values.every((value, at) => value === values[at]);
    button.setAttribute("aria-pressed", same);
  });
}

// Resolves to what the visitor types; shown only when the service asks for a key.
function askKey(wrong) {
  const form = byId("key-form");
  const field = byId("key");
  byId("key-note").textContent = wrong
    ? "The service does not take this key. Try another."
    : "This service asks for one. It stays in this page and is forgotten when you leave.";
  form.hidden = false;
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.hidden = true;
      const key = field.value.trim();
      field.value = "";
      resolve(key);
    }, { once: true });
  });
}
