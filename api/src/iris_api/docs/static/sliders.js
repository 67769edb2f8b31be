// One slider a feature: its training range and its histogram behind the thumb.

import { el, svg } from "./dom.js";
import { atStep, withUnit } from "./text.js";

const HEIGHT = 32;

// `onChange(position, value)` is called for what a person does, not for `set`.
export function createSliders(container, features, onChange) {
  const sliders = features.map((feature, position) =>
    createSlider(feature, position, (value) => onChange(position, value)));
  container.replaceChildren(...sliders.map((slider) => slider.element));
  return {
    set: (values) => values.forEach((value, i) => sliders[i].set(value)),
  };
}

function createSlider(feature, position, onChange) {
  const { label, unit, minimum, maximum, lowest, highest, step } = feature;
  const id = `slider-${position}`;
  const share = (value) => (value - lowest) / (highest - lowest);
  const range = el("input", {
    type: "range", id, min: lowest, max: highest, step, "aria-describedby": `${id}-range`,
  });
  const exact = el("input", {
    type: "number", step: "any", "aria-label": `${withUnit(label, unit && `in ${unit}`)}, exact value`,
  });
  const columns = createHistogram(feature, share);
  const low = el("span", { class: "tick" }, atStep(minimum, step));
  const high = el("span", { class: "tick" }, atStep(maximum, step));
  const ticks = el("div", { class: "ticks", "aria-hidden": "true" }, low, high);
  const rail = el("div", { class: "rail", "aria-hidden": "true" }, el("div", { class: "band" }));
  const described = `Training range ${atStep(minimum, step)} to ${withUnit(atStep(maximum, step), unit)}`;
  const element = el("div", { class: "slider" },
    el("div", { class: "slider-head" },
      el("label", { for: id }, label),
      el("span", { class: "value" }, exact, el("span", { class: "unit" }, unit))),
    el("div", { class: "slider-body" }, columns.element, rail, range, ticks),
    el("span", { id: `${id}-range`, class: "hidden" }, described));
  element.style.setProperty("--from", share(minimum));
  element.style.setProperty("--to", share(maximum));
  let current = minimum;

  // Never rounded: what is typed is what is asked.
  const exactly = (value) => {
    const text = atStep(value, step);
    return Number(text) === value ? text : String(value);
  };

  function show(value) {
    current = value;
    const outside = value < minimum || value > maximum;
    element.classList.toggle("outside", outside);
    range.setAttribute("aria-valuetext",
      withUnit(String(value), unit) + (outside ? ", outside the training range" : ""));
    columns.light(value);
  }
  range.addEventListener("input", () => {
    const value = Number(range.value);
    exact.value = exactly(value);
    show(value);
    onChange(value);
  });
  exact.addEventListener("input", () => {
    const value = exact.valueAsNumber;
    exact.setAttribute("aria-invalid", !Number.isFinite(value));
    if (!Number.isFinite(value)) return;
    range.value = value;
    show(value);
    onChange(value);
  });
  exact.addEventListener("blur", () => {
    exact.removeAttribute("aria-invalid");
    exact.value = exactly(current);
  });
  return {
    element,
    set(value) {
      exact.value = exactly(value);
      range.value = value;
      show(value);
    },
  };
}

function createHistogram({ histogram, maximum }, share) {
  const { edges, counts } = histogram;
  const most = Math.max(1, ...counts);
  const bars = counts.map((count, i) => {
    const height = (count / most) * HEIGHT;
    return svg("rect", {
      x: share(edges[i]) * 1000 + 2,
      width: Math.max(0, (share(edges[i + 1]) - share(edges[i])) * 1000 - 4),
      y: HEIGHT - height, height,
    });
  });
  const box = {
    class: "columns", viewBox: `0 0 1000 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
  };
  return {
    element: svg("svg", box, ...bars),
    light: (value) => bars.forEach((bar, i) => {
      const last = i === bars.length - 1 && value === maximum;
      const holds = value >= edges[i] && (value < edges[i + 1] || last);
      bar.classList.toggle("here", holds);
    }),
  };
}
