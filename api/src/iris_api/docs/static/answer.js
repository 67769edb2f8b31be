// The answer: label, probability bars, and a quiet word when it is an extrapolation.

import { byId, el, say } from "./dom.js";
import { badge, colourOf } from "./marks.js";
import { percent, short, withUnit } from "./text.js";

const QUIET_MS = 500;

export function createAnswer({ classes, features }) {
  const bars = classes.map((name, position) => createBar(name, position));
  byId("bars").replaceChildren(...bars.map((bar) => bar.element));
  followAnswer();
  let timer = 0;

  // A screen reader hears the answer once the visitor rests, not at every step.
  function announce(text) {
    clearTimeout(timer);
    timer = setTimeout(() => { byId("announce").textContent = text; }, QUIET_MS);
  }

  return {
    show({ label, probabilities, out_of_range: outside }) {
      const share = percent(probabilities[label]);
      byId("label").textContent = label;
      byId("share").textContent = share;
      byId("pinned").textContent = `${label} · ${share}`;
      byId("answer").classList.remove("stale");
      bars.forEach((bar) => bar.show(probabilities[bar.name], bar.name === label));
      const notice = outside.length ? describeOutside(outside, features) : "";
      say(byId("notice"), notice);
      announce(`${label}, ${share}. ${notice}`);
    },
    fail(text) {
      byId("answer").classList.add("stale");
      say(byId("notice"), text);
      announce(text);
    },
  };
}

function createBar(name, position) {
  const value = el("span", { class: "bar-share" });
  const filled = el("span", { class: `bar-fill ${colourOf(position)}` });
  const element = el("li", {},
    badge(position),
    el("span", { class: "bar-name" }, name),
    value,
    el("span", { class: "bar", "aria-hidden": "true" }, filled));
  return {
    name,
    element,
    show(share, wins) {
      value.textContent = percent(share);
      filled.style.setProperty("--share", share);
      element.classList.toggle("wins", wins);
    },
  };
}

function describeOutside(names, features) {
  const parts = features.filter((feature) => names.includes(feature.name)).map((feature) =>
    `${feature.label} (${short(feature.minimum)} to ${withUnit(short(feature.maximum), feature.unit)})`);
  return `Outside the training rows: ${parts.join(", ")}. Take the answer with care.`;
}

// On a narrow screen the sliders hide the answer: then it is pinned to the edge.
function followAnswer() {
  const seen = {};
  const watch = (entries) => {
    entries.forEach(({ target, isIntersecting }) => { seen[target.id] = isIntersecting; });
    byId("pinned").hidden = seen.answer || !seen.sliders;
  };
  const observer = new IntersectionObserver(watch);
  observer.observe(byId("answer"));
  observer.observe(byId("sliders"));
}
