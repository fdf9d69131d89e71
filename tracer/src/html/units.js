// Durations, sizes and counts as the report prints them (units.rs), and elements made of text.

function scaled(value, unit) {
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

function duration(ns) {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 999_500) return scaled(ns / 1e3, "us");
  if (ns < 999_500_000) return scaled(ns / 1e6, "ms");
  return scaled(ns / 1e9, "s");
}

// How long a call took, and how long without what probes added to that; either may be an upper bound.
function lengthOf(ns, isBound, corrected) {
  const bounded = (ns, isBound) => (isBound ? "≤" : "") + duration(ns);
  return bounded(ns, isBound) + (corrected ? ` (corrected ${bounded(...corrected)})` : "");
}

function size(bytes) {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  const [value, unit] =
    bytes < 1_047_553 ? [bytes / 1024, "KiB"]
    : bytes < 1_072_693_249 ? [bytes / 1024 ** 2, "MiB"]
    : [bytes / 1024 ** 3, "GiB"];
  return Number.isInteger(value) ? `${value} ${unit}` : scaled(value, unit);
}

function signedBytes(bytes) {
  if (bytes === 0) return "0";
  return (bytes < 0 ? "-" : "+") + size(Math.abs(bytes));
}

function count(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, " ");
}

function percent(part, whole) {
  if (whole === 0) return "-";
  const share = (part * 100) / whole;
  return share < 10 ? `${share.toFixed(1)} %` : `${share.toFixed(0)} %`;
}

// An element with attributes and children; text is only ever text.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawing(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
