// Numbers and quantities as a person reads them.

export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
}

export const count = (number) => number.toLocaleString("en");

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

// As many decimals as the slider's step has, so that digits stay in place.
export function atStep(number, step) {
  const text = number.toFixed(Math.max(0, Math.round(-Math.log10(step))));
  return Number(text) === number ? text : short(number);
}

// What is short without loss of meaning: 0.3400000000000001 is 0.34.
export const short = (number) => String(Number(number.toPrecision(6)));

export const withUnit = (text, unit) => (unit ? `${text} ${unit}` : text);
