// What every part of the script stands on: errors made visible, colours of the page, text for people.

const byId = (id) => document.getElementById(id);

// A failure is shown on the page and never hides the parts that need no script.
function fail(message) {
  const box = byId("errors");
  box.classList.add("some");
  box.textContent = "A picture of this page could not be drawn: " + message;
  document.body.dataset.failed = "1";
}
window.addEventListener("error", (event) => fail(event.message));

// On paper the page is light whatever the screen is.
let printing = false;
const PAPER = { ink: "#1d2125", soft: "#5a626b", line: "#d9d6cd", grid: "#e9e6de", card: "#ffffff" };

function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "line", "grid", "card", "ok", "fail", "info", "open", "guilty", "accent",
    "partition", "kill", "pause", "clock", "other", "shade", "mono"];
  const colours = {};
  for (const name of names) colours[name] = style.getPropertyValue("--" + name).trim();
  if (printing) Object.assign(colours, PAPER);
  colours.outcome = [colours.ok, colours.fail, colours.info, colours.open];
  return colours;
}

const OUTCOMES = ["ok", "fail", "info", "open"];
const faultColour = (colours, kind) => colours[["partition", "kill", "pause", "clock"].includes(kind) ? kind : "other"];

function digits(value) {
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function duration(nanos) {
  if (nanos < 1e3) return nanos.toFixed(0) + " ns";
  if (nanos < 1e6) return digits(nanos / 1e3) + " µs";
  if (nanos < 1e9) return digits(nanos / 1e6) + " ms";
  return digits(nanos / 1e9) + " s";
}

const grouped = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ",");

// A time of the trial, as exact as a scale with this many nanoseconds to a tick asks for.
function clock(nanos, step) {
  const decimals = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / 1e9) - 1e-9)));
  return (nanos / 1e9).toFixed(decimals) + " s";
}

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 2, 5]) if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

// A canvas as large as its box, drawn in CSS pixels.
function sized(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}
