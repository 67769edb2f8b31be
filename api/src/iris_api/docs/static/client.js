// Requests to the API, with patience and a key where it asks for them.

const TRIES = 6;
const LONGEST_WAIT_S = 30;

// The service answered, but not as wished; `problem` is its own document.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || `the service answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

// `askKey(wrong)` resolves to a key; it lives in this closure and nowhere else.
export function createClient(askKey) {
  const url = new URL("v1/predict", document.baseURI).href;
  let key = "";
  let asked = null;

  async function obtainKey(used) {
    if (used !== key) return; // another request has a new one already
    asked ??= askKey(used !== "").finally(() => { asked = null; });
    key = await asked;
  }

  async function request(path, options, onWait) {
    for (let tries = 1; ; tries += 1) {
      const used = key;
      // Who tries the page out is no client: a router leaves this out of its evidence.
      const ours = { "X-From-Page": "1", ...(used && { "X-API-Key": used }) };
      const headers = { ...options.headers, ...ours };
      const response = await fetch(path, { ...options, headers });
      if (response.ok) return response.json();
      const again = response.status === 429 || response.status === 503;
      if (response.status === 401) {
        await obtainKey(used);
      } else if (again && tries < TRIES) {
        const seconds = waitOf(response);
        onWait(seconds);
        await sleep(seconds * 1000, options.signal);
      } else {
        throw new Refused(response.status, await problemOf(response));
      }
    }
  }

  return {
    url,
    hasKey: () => key !== "",
    get: (path) => request(path, {}, () => {}),
    post: (body, { signal, onWait = () => {} } = {}) => {
      const headers = { "Content-Type": "application/json" };
      return request(url, { method: "POST", headers, body, signal }, onWait);
    },
  };
}

function waitOf(response) {
  const asked = Number(response.headers.get("Retry-After"));
  return Math.min(LONGEST_WAIT_S, Math.max(1, asked || 1));
}

async function problemOf(response) {
  try {
    return (await response.json()) || {};
  } catch {
    return {};
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
