"use strict";
{
  const EVERY = 500;
  const SHOWN = 30_000;
  const WIDTH = 240;
  const HEIGHT = 64;
  const silent = document.getElementById("silent");
  const samples = [];

  const number = (value, digits = 0) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const micros = (value) => {
    if (value === null) return "–";
    return value < 1000 ? `${number(value)} µs` : `${number(value / 1000, 1)} ms`;
  };

  // The points of a figure over time: [milliseconds, value]; the value is null if there is none.
  const level = (name) => samples.map(({ at, numbers }) => [at, numbers[name]]);
  const rate = (name) => samples.slice(1).map(({ at, numbers }, index) => {
    const before = samples[index];
    // After a restart, the demo counts from zero.
    return [at, Math.max(0, numbers[name] - before.numbers[name]) / ((at - before.at) / 1000)];
  });

  function draw(svg, name, points, highest) {
    const now = samples.at(-1).at;
    const x = (at) => WIDTH * (1 - (now - at) / SHOWN);
    const y = (value) => HEIGHT - 1 - (HEIGHT - 6) * (value / highest);
    const known = points.filter(([, value]) => value !== null);
    const line = known.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    svg.querySelector(`.line.${name}`).setAttribute("d", line && `M${line}`);
    const area = line && `M${x(known[0][0]).toFixed(1)} ${HEIGHT}L${line}L${WIDTH} ${HEIGHT}Z`;
    svg.querySelector(`.area.${name}`).setAttribute("d", area);
  }

  const highest = (points, least) => Math.max(least, ...points.map(([, value]) => value));

  function show(card) {
    const { figure, drawn } = card.dataset;
    const svg = card.querySelector("svg");
    const latest = samples.at(-1).numbers;
    if (drawn === "latency") {
      const [p50, p99] = [level("p50"), level("p99")];
      const top = highest(p99, 1);
      for (const [name, points] of [["p50", p50], ["p99", p99]]) {
        draw(svg, name, points, top);
        card.querySelector(`.${name} .value`).textContent = micros(latest[name]);
      }
      return;
    }
    card.querySelector(".value").textContent = latest[figure] === null ? "–" : number(latest[figure]);
    const points = drawn === "rate" ? rate(figure) : level(figure);
    draw(svg, "now", points, highest(points, 4));
    if (drawn === "rate" && points.length > 0) {
      card.querySelector("p .now").textContent = `${number(points.at(-1)[1])} a second`;
    }
  }

  async function poll() {
    // Skips a page in the background, which nobody sees.
    if (document.hidden) return;
    const response = await fetch("/api/figures", { credentials: "omit", cache: "no-store" });
    const numbers = await response.json();
    samples.push({ at: performance.now(), numbers });
    while (samples[0].at < samples.at(-1).at - SHOWN) samples.shift();
    document.querySelectorAll(".figure").forEach(show);
  }

  async function follow() {
    try {
      await poll();
      silent.hidden = true;
    } catch {
      silent.hidden = false;
    }
    setTimeout(follow, EVERY);
  }

  follow();
}
