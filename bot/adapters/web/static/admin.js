"use strict";
// The administrator's page: everything works without it. It keeps the queue fresh, asks once more before
// what cannot be undone, and draws the charts. `one`, `all`, `part`, `morph`, `say` and `announce` are easel.js's.

const REFRESH = 3000; // milliseconds

// --- asking once more --------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-ask]");
  if (!button || button.classList.contains("armed")) return;
  event.preventDefault();
  const [label, name] = [button.textContent, button.ariaLabel];
  button.textContent = say("Sure?");
  button.ariaLabel = `${say("Sure?")} ${name ?? label}`;
  button.classList.add("armed");
  announce(say("Press again: {name}.", { name: name ?? label }));
  setTimeout(() => { button.textContent = label; button.ariaLabel = name; button.classList.remove("armed"); }, 4000);
});

one(".notice")?.focus({ preventScroll: true });
if (location.search.includes("said=")) { // shown once; a reload would not find it
  const url = new URL(location);
  url.searchParams.delete("said");
  history.replaceState(null, "", url);
}

// --- the queue, fresh --------------------------------------------------------------------------------------

async function refresh(place) {
  if (!document.hidden && !one(".armed", place)) {
    try {
      const fresh = place.cloneNode(false);
      fresh.append(await part(place.dataset.refresh));
      if (!one(".armed", place)) morph(place, fresh);
      one("#offline").hidden = true;
    } catch {
      one("#offline").hidden = false;
    }
  }
  setTimeout(refresh, REFRESH, place);
}
for (const place of all("[data-refresh]")) setTimeout(refresh, REFRESH, place);

// --- charts ------------------------------------------------------------------------------------------------

/** What a colour of the style sheet is in the present theme. */
function colour(place, name) {
  place.style.color = `var(${name})`;
  const found = getComputedStyle(place).color;
  place.style.color = "";
  return found;
}

/** Stacked bars: each series is drawn on top of those after it, so the first one is the sum of all. */
const stacked = (series) =>
  series.map((_, i) => series[0].values.map((_, at) => series.slice(i).reduce((sum, one) => sum + (one.values[at] ?? 0), 0)));

function draw(place) {
  const { kind, unit, daily, bucket, x, series } = JSON.parse(place.dataset.chart);
  place.replaceChildren();
  if (!series.length) return;
  const bars = kind === "bars";
  const [ink, rule] = [colour(place, "--soft"), colour(place, "--rule")];
  const font = `12px ${getComputedStyle(place).fontFamily}`;
  const day = (at) => at.toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: daily ? "UTC" : undefined });
  const hour = (at) => at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const moment = (seconds) => { const at = new Date(seconds * 1000); return daily ? day(at) : `${day(at)} ${hour(at)}`; };
  const times = (_, ticks) => ticks.map((tick) => { const at = new Date(tick * 1000); return daily || hour(at) === "00:00" ? day(at) : hour(at); });
  const amount = (value) => (value == null ? "–" : `${Math.round(value * 10) / 10} ${unit}`);
  const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font };
  const lines = series.map(({ label, values }, i) => {
    const stroke = colour(place, `--c${(i % 6) + 1}`);
    const shape = bars ? { fill: stroke, paths: uPlot.paths.bars({ size: [0.8, 40] }), points: { show: false } } : { width: 2, points: { show: true, size: 6, fill: stroke } };
    return { label, stroke, width: bars ? 0 : 2, ...shape, value: (_, __, ___, at) => amount(at == null ? null : values[at]) };
  });
  const options = {
    width: place.clientWidth,
    height: 220,
    tzDate: daily ? (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : undefined,
    scales: { x: { range: () => [x[0] - bucket / 2, x.at(-1) + bucket / 2] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
    axes: [{ ...axis, values: times, space: 64 }, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => (tick >= 10000 ? `${tick / 1000}k` : `${tick}`)) }],
    series: [{ label: daily ? say("Day") : say("From"), value: (_, at) => (at == null ? "–" : moment(at)) }, ...lines],
    cursor: { points: { show: !bars } },
  };
  if (!options.tzDate) delete options.tzDate;
  const values = bars ? stacked(series) : series.map((one) => one.values);
  place.plot = new uPlot(options, [x, ...values], place);
}

function drawAll() {
  for (const place of all("[data-chart]")) draw(place);
}

if (one("[data-chart]")) {
  document.addEventListener("DOMContentLoaded", () => {
    drawAll();
    new ResizeObserver(() => {
      for (const place of all("[data-chart]")) place.plot?.setSize({ width: place.clientWidth, height: 220 });
    }).observe(one(".charts"));
    new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  });
}
