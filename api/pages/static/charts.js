"use strict";
// Draws each .chart with uPlot, in the colours of the page, and again when they or its width change.
(() => {
  const NAMES = { issued: "Issued", denied: "Refused", revoked: "Revoked", reused: "Reused" };
  const COLOURS = { issued: "--chart-1", denied: "--chart-2", revoked: "--chart-3", reused: "--alarm" };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const two = (value) => String(value).padStart(2, "0");
  const utc = (seconds, step) => {
    const at = new Date(seconds * 1000);
    const day = `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    return step >= 86400 ? day : step >= 14400 ? `${day} ${time}` : time;
  };
  const options = (place, names, step) => {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      width: place.clientWidth,
      height: 220,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { range: (_, low, high) => [low - step / 2, high + step / 2] }, y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
      axes: [
        { ...axis, space: 70, values: (_, at) => at.map((value) => utc(value, step)) },
        { ...axis, size: 52, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6] },
      ],
      series: [
        { label: "From (UTC)", value: (_, at) => (at == null ? "–" : utc(at, step)) },
        ...names.map((name, at) => ({
          label: NAMES[name],
          stroke: colour(COLOURS[name]),
          points: { show: false },
          ...(at === 0
            ? { fill: colour(`${COLOURS[name]}-fill`), width: 1, paths: uPlot.paths.bars({ size: [0.8, 40] }) }
            : { width: 2 }),
        })),
      ],
    };
  };
  const draw = (place) => {
    const columns = JSON.parse(place.dataset.chart);
    const names = place.dataset.series.split(" ");
    place.replaceChildren();
    return new uPlot(options(place, names, Number(place.dataset.step)), [columns.times, ...names.map((name) => columns[name])], place);
  };
  document.querySelectorAll(".chart").forEach((place) => {
    let chart = draw(place);
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (place.clientWidth === width) return;
      width = place.clientWidth;
      chart.setSize({ width, height: 220 });
    }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      chart.destroy();
      chart = draw(place);
    });
  });
})();
