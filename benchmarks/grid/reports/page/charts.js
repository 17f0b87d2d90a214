"use strict";

function svg(tag, attributes, parent, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

const COLOURS = ["var(--one)", "var(--two)", "var(--three)", "var(--four)"];
const finite = (values) => values.filter((value) => value !== null && Number.isFinite(value));

function shown(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(6)));
}

function ticksOf(low, high, log) {
  if (log) {
    const found = [];
    for (const factors of [[1, 2, 5], [1], [1, 1.5, 2, 3, 4, 5, 6, 8]]) {
      found.length = 0;
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
        for (const factor of factors) {
          const tick = factor * 10 ** power;
          if (tick >= low * 0.999 && tick <= high * 1.001) found.push(tick);
        }
      }
      if (found.length >= 3 && found.length <= 8) break;
    }
    return found;
  }
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) {
    found.push(Number(tick.toPrecision(10)));
  }
  return found;
}

function rangeOf(values, log, margin) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (log) return low === high ? [low / 1.5, high * 1.5] : [low / (high / low) ** margin, high * (high / low) ** margin];
  const room = (high - low) * margin || Math.abs(low) * 0.05 || 1;
  return [low - room, high + room];
}

/* A picture of lines, bands and points.
   x, y: { label, log, ticks: [{ at, text }], range: [low, high], flip }
   lines: { points: [[x, y]], colour, dash, width, opacity }; bands: { points: [[x, low, high]], colour }
   points: { x, y, spread, colour, hollow, shape, size, text, tip } */
function chart(host, { x, y, lines = [], bands = [], points = [], height = 240 }) {
  const xs = finite([...lines.flatMap((line) => line.points.map((point) => point[0])), ...points.map((point) => point.x)]);
  const ys = finite([...lines.flatMap((line) => line.points.map((point) => point[1])), ...points.map((point) => point.y)]);
  if (!xs.length || !ys.length) return null;
  const width = Math.max(host.clientWidth, 220);
  const xRange = x.range ?? rangeOf(xs, x.log, 0.04);
  const yRange = y.range ?? rangeOf(ys, y.log, 0.08);
  const xTicks = x.ticks ?? ticksOf(...xRange, x.log).map((at) => ({ at, text: shown(at) }));
  const yTicks = ticksOf(...yRange, y.log).map((at) => ({ at, text: shown(at) }));
  const left = 12 + 6.5 * Math.max(...yTicks.map((tick) => tick.text.length), 2);
  const [right, top, bottom] = [width - 10, 22, height - 36];
  const scale = (range, log, from, to) => {
    const [low, high] = log ? range.map(Math.log) : range;
    return (value) => from + ((log ? Math.log(value) : value) - low) / (high - low || 1) * (to - from);
  };
  const toX = scale(xRange, x.log, left, right);
  const toY = y.flip ? scale(yRange, y.log, top, bottom) : scale(yRange, y.log, bottom, top);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y.label} against ${x.label}` }, host);
  const clip = `clip-${chart.count = (chart.count ?? 0) + 1}`;
  svg("rect", { x: left, y: top - 4, width: right - left + 4, height: bottom - top + 8 }, svg("clipPath", { id: clip }, picture));
  for (const tick of yTicks) {
    svg("line", { class: "grid", x1: left, x2: right, y1: toY(tick.at), y2: toY(tick.at) }, picture);
    svg("text", { x: left - 6, y: toY(tick.at) + 4, "text-anchor": "end" }, picture, tick.text);
  }
  svg("line", { class: "grid", x1: left, x2: right, y1: bottom, y2: bottom }, picture);
  let free = -Infinity;
  for (const tick of xTicks) {
    const half = tick.text.length * 3.2;
    if (toX(tick.at) - half < free) continue;
    free = toX(tick.at) + half + 6;
    svg("text", { x: toX(tick.at), y: bottom + 15, "text-anchor": "middle" }, picture, tick.text);
  }
  svg("text", { x: left - 6, y: 11 }, picture, y.label);
  svg("text", { x: right, y: height - 5, "text-anchor": "end" }, picture, x.label);
  const inside = svg("g", { "clip-path": `url(#${clip})` }, picture);
  for (const band of bands) {
    const known = band.points.filter((point) => finite(point).length === 3);
    const there = known.map(([at, low]) => `${toX(at)},${toY(low)}`);
    const back = known.map(([at, , high]) => `${toX(at)},${toY(high)}`).reverse();
    svg("polygon", { class: "band", points: [...there, ...back].join(" "), style: `fill:${band.colour}` }, inside);
  }
  for (const line of lines) {
    const path = line.points.filter((point) => finite(point).length === 2).map(([at, value]) => `${toX(at)},${toY(value)}`);
    const style = `stroke:${line.colour};stroke-width:${line.width ?? 1.5};opacity:${line.opacity ?? 1}`;
    svg("polyline", { class: "line", points: path.join(" "), style, "stroke-dasharray": line.dash ?? "none" }, inside);
  }
  for (const point of points) {
    const group = svg("g", point.tip ? { "data-tip": point.tip } : {}, picture);
    const [px, py] = [toX(point.x), toY(point.y)];
    if (point.spread) {
      const ends = { x1: px, x2: px, y1: toY(point.y - point.spread), y2: toY(point.y + point.spread) };
      svg("line", { ...ends, style: `stroke:${point.colour};opacity:.5`, "clip-path": `url(#${clip})` }, group);
    }
    const look = point.hollow ? `fill:var(--paper);stroke:${point.colour};stroke-width:1.5` : `fill:${point.colour}`;
    marker(group, point.shape ?? 0, px, py, look, point.size);
    if (point.text) svg("text", { class: "label", x: px + 7, y: py - 6, "font-weight": 600 }, group, point.text);
    if (point.tip) svg("circle", { cx: px, cy: py, r: 11, style: "fill:transparent" }, group);
  }
  return picture;
}

const SHAPES = [
  null,
  "-4.5,-4.5 4.5,-4.5 4.5,4.5 -4.5,4.5",
  "0,-6 5.4,4 -5.4,4",
  "0,-6 5.5,0 0,6 -5.5,0",
  "0,6 5.4,-4 -5.4,-4",
  "-2,-6 2,-6 2,-2 6,-2 6,2 2,2 2,6 -2,6 -2,2 -6,2 -6,-2 -2,-2",
];
function marker(parent, shape, x, y, style, size = 1) {
  const points = SHAPES[shape % SHAPES.length];
  if (points) svg("polygon", { points, style, transform: `translate(${x},${y}) scale(${size})` }, parent);
  else svg("circle", { cx: x, cy: y, r: 4.5 * size, style }, parent);
}

// A sample of a line or a marker, for a legend.
function sample(parent, { colour, dash = "none", shape = null, hollow = false }) {
  const picture = svg("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, parent);
  if (shape === null) svg("line", { x1: 0, x2: 26, y1: 6, y2: 6, style: `stroke:${colour};stroke-width:2`, "stroke-dasharray": dash }, picture);
  else marker(picture, shape, 13, 6, hollow ? `fill:var(--paper);stroke:${colour};stroke-width:1.5` : `fill:${colour}`);
}

function legend(parent, entries) {
  const list = element("ul", { class: "legend" }, parent);
  for (const entry of entries) {
    const item = element("li", {}, list);
    sample(item, entry);
    item.append(entry.text);
  }
  return list;
}

// Pictures are drawn for the width that there is, and again when it changes.
const redraw = [];
function keptDrawn(draw) {
  redraw.push(draw);
  draw();
}
let drawnFor = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === drawnFor) return;
  drawnFor = window.innerWidth;
  redraw.forEach((draw) => draw());
});
