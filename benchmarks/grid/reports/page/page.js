"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", { readonly: "" }, document.body);
    field.value = text;
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  say("command copied");
}

function choice(parent, label, options) {
  const select = element("select", {}, element("label", {}, parent, `${label} `));
  for (const option of options) element("option", { value: option }, select, option);
  return select;
}

const different = (values) => [...new Set(values)];

// The cell that is chosen: its command, its curves.
function cells(section, data, name) {
  const buttons = [...section.querySelectorAll(".heat button")];
  const curves = section.querySelector("figure.curves");
  const chosen = section.querySelector(".chosen");
  const drawn = data.cells.some((cell) => cell.runs.length);
  let row = null, setup = null, panels = null, said = null, current = 0;

  function choose(place) {
    current = place;
    buttons.forEach((button) => button.setAttribute("aria-pressed", Number(button.dataset.cell) === place));
    if (drawn) {
      row.value = data.cells[place].row;
      setup.value = data.cells[place].setup;
      learningCurves(panels, data, data.cells[place]);
      said.textContent = `${row.value}, ${setup.value}: a line for each seed.`;
    }
  }

  function describe(button) {
    chosen.replaceChildren();
    element("p", {}, chosen, button.getAttribute("aria-label"));
    if (button.dataset.command) {
      const code = element("code", {}, chosen);
      // A line may not end within an option's name, at its dashes.
      for (const part of button.dataset.command.split(/(--[\w-]+)/)) part.startsWith("--") ? element("span", {}, code, part) : code.append(part);
      const again = element("button", { type: "button" }, element("div", {}, chosen), "Copy the command");
      again.addEventListener("click", () => copy(button.dataset.command, again));
    }
    chosen.hidden = false;
  }

  for (const button of buttons) {
    button.dataset.tip = [button.title, button.dataset.command].filter(Boolean).join("\n");
    button.setAttribute("aria-label", button.title.replaceAll("\n", "; "));
    button.removeAttribute("title");
    button.addEventListener("click", () => {
      choose(Number(button.dataset.cell));
      describe(button);
      remember(`${name}.cell`, button.dataset.cell);
      if (button.dataset.command) copy(button.dataset.command, button);
    });
  }
  if (drawn) {
    curves.hidden = false;
    element("h3", {}, curves, "Learning curves");
    const controls = element("div", { class: "controls" }, curves);
    row = choice(controls, "encoding", different(data.cells.map((cell) => cell.row)));
    setup = choice(controls, "model", different(data.cells.map((cell) => cell.setup)));
    panels = element("div", { class: "panels" }, curves);
    for (const select of [row, setup]) {
      select.addEventListener("change", () => {
        const found = data.cells.findIndex((cell) => cell.row === row.value && cell.setup === setup.value);
        if (found >= 0) {
          choose(found);
          describe(buttons.find((button) => Number(button.dataset.cell) === found));
        } else {
          buttons.forEach((button) => button.setAttribute("aria-pressed", "false"));
          panels.replaceChildren(element("p", {}, null, "This combination was skipped, or has not begun."));
          said.textContent = "";
        }
      });
    }
    legend(curves, [
      { colour: "var(--one)", text: "validation" },
      { colour: "var(--two)", dash: "5 3", text: "training" },
      { colour: "var(--pale)", text: "validation of the same model without an encoding" },
      { colour: "var(--one)", shape: 0, text: "best epoch" },
    ]);
    const caption = element("figcaption", {}, curves);
    said = element("span", {}, caption);
    element("span", { class: "screen" }, caption, " A click on a cell of the heat map chooses it, and copies its command.");
  }
  const asked = buttons.find((button) => button.dataset.cell === state.get(`${name}.cell`));
  const first = asked ?? buttons.find((button) => button.parentElement.classList.contains("best")) ?? buttons[0];
  if (asked) describe(asked);
  if (first) keptDrawn(() => choose(current));
  if (first) choose(Number(first.dataset.cell));
}

function learningCurves(panels, data, cell) {
  panels.replaceChildren();
  const base = cell.base ? null : data.cells.find((each) => each.base && each.setup === cell.setup);
  const linesOf = (runs, what, colour, more = {}) =>
    runs.map((run) => ({ points: run.epoch.map((epoch, place) => [epoch, run[what][place]]), colour, ...more }));
  const pictures = [
    ["loss", [["valid", "var(--one)", {}], ["train", "var(--two)", { dash: "5 3" }]], "valid"],
    [`validation ${data.metric}`, [["metric", "var(--one)", {}]], "metric"],
  ];
  const places = pictures.map(() => element("div", {}, panels));
  pictures.forEach(([label, series, of], number) => {
    const panel = places[number];
    const behind = linesOf(base?.runs ?? [], of, "var(--pale)");
    const lines = series.flatMap(([what, colour, more]) => linesOf(cell.runs, what, colour, { opacity: 0.85, ...more }));
    const points = of === "metric" ? cell.runs
      .filter((run) => run.metric[run.best] !== null)
      .map((run) => ({ x: run.epoch[run.best], y: run.metric[run.best], colour: "var(--one)" })) : [];
    const drawn = chart(panel, { x: { label: "epoch" }, y: { label }, lines: [...behind, ...lines], points, height: 230 });
    if (!drawn) element("p", {}, panel, `No record of ${label}.`);
  });
}

const SECONDS = "seconds of encoding and training";

// The metric against any other number of the first table: what is best at its cost.
function against(section, data) {
  const host = section.querySelector("figure.against");
  const table = section.querySelector(".sortable table");
  if (!host || !table) return;
  const heads = [...table.querySelectorAll("thead th")];
  const names = heads.map((head) => head.textContent);
  const test = names.findIndex((text) => text === `test ${data.metric}`);
  const others = names.filter((_, place) => place !== test && heads[place].classList.contains("number"));
  if (test < 0) return;
  const inOrder = data.cells.filter((cell) => cell.place !== null).sort((a, b) => a.place - b.place);
  const valueOf = (row, place) => row.cells[place]?.dataset.value === undefined ? null : Number(row.cells[place].dataset.value);
  host.hidden = false;
  element("h3", {}, host, `Test ${data.metric} against cost`);
  const select = choice(element("div", { class: "controls" }, host), "cost", [SECONDS, ...others]);
  const picture = element("div", {}, host);

  function draw() {
    picture.replaceChildren();
    const place = names.indexOf(select.value);
    const rows = [...table.tBodies[0].rows].map((row, number) => ({ row, cell: inOrder[Number(row.dataset.place ?? number)] }))
      .map(({ row, cell }) => ({ row, cell, cost: select.value === SECONDS ? cell?.seconds ?? null : valueOf(row, place) }))
      .filter(({ row, cell, cost }) => cell && cost !== null && valueOf(row, test) !== null);
    const setups = different(rows.map(({ cell }) => cell.setup));
    const sign = data.maximize ? 1 : -1;
    const points = rows.map(({ row, cell, cost }) => ({
      x: cost,
      y: valueOf(row, test),
      spread: Number(row.cells[test].textContent.split(" ± ")[1]) || 0,
      shape: setups.indexOf(cell.setup),
      name: `${cell.row}, ${cell.setup}`,
      hollow: cell.base,
      tip: `${cell.row}, ${cell.setup}\ntest ${data.metric} ${row.cells[test].textContent}\n` +
        `${select.value}: ${select.value === SECONDS ? cost : row.cells[place].textContent}`,
    })).sort((a, b) => a.x - b.x || sign * (b.y - a.y));
    const front = [];
    for (const point of points) if (!front.length || sign * point.y > sign * front.at(-1).y) front.push(point);
    points.forEach((point) => { point.colour = front.includes(point) ? "var(--two)" : "var(--soft)"; });
    front.forEach((point, number) => { point.text = String(number + 1); });
    const steps = front.flatMap((point, number) => number ? [[point.x, front[number - 1].y], [point.x, point.y]] : [[point.x, point.y]]);
    const log = points.every((point) => point.x > 0) && points.at(-1)?.x > 4 * points[0]?.x;
    const drawn = chart(picture, {
      x: { label: select.value, log }, y: { label: `test ${data.metric}, better is up`, flip: !data.maximize },
      lines: [{ points: steps, colour: "var(--two)", width: 1, opacity: 0.6 }], points, height: 320,
    });
    if (!drawn) {
      element("p", {}, picture, "No number to draw.");
      return;
    }
    legend(picture, [
      ...setups.map((text, shape) => ({ colour: "var(--soft)", shape, text })),
      { colour: "var(--soft)", shape: 0, hollow: true, text: "hollow: without an encoding" },
    ]);
    element("figcaption", {}, picture, "Numbered: no other combination is as good at less cost. " +
      front.map((point, number) => `${number + 1}: ${point.name}`).join("; ") + ". Bars: one standard deviation.");
  }
  select.addEventListener("change", draw);
  keptDrawn(draw);
}

// The metric against the size of graphs: a panel for each model; chosen columns have a colour.
function sizes(section, data) {
  const host = section.querySelector("figure.sizes");
  if (!host || !data.sizes) return;
  host.hidden = false;
  const { bins, curves, unit } = data.sizes;
  const sign = data.maximize ? 1 : -1;
  const last = bins.length - 1;
  const setups = different(curves.map((curve) => curve.setup));
  const atLast = (row) => {
    const known = finite(curves.filter((curve) => curve.row === row).map((curve) => curve.means[last]));
    return known.length ? sign * known.reduce((sum, value) => sum + value, 0) / known.length : -Infinity;
  };
  const base = curves.find((curve) => curve.base)?.row;
  const rows = different(curves.map((curve) => curve.row)).sort((a, b) => atLast(b) - atLast(a));
  const chosen = rows.filter((row) => row !== base).slice(0, 3);
  const panels = element("div", { class: "panels" }, host);
  const keys = element("div", {}, host);
  const known = curves.flatMap((curve) => finite(curve.means));
  const [low, high] = rangeOf(known.length ? known : [0], false, 0.08);
  const near = finite(bins.map((bin) => bin.constant)).filter((value) => value > low - (high - low) && value < high + (high - low));
  const range = rangeOf([...known, ...near], false, 0.08);

  function draw() {
    panels.replaceChildren();
    const places = setups.map((setup) => {
      const panel = element("div", {}, panels);
      element("h4", {}, panel, setup);
      return panel;
    });
    setups.forEach((setup, number) => {
      const panel = places[number];
      const mine = curves.filter((curve) => curve.setup === setup);
      const lineOf = (curve, more) => ({ points: bins.map((bin, place) => [bin.mean, curve.means[place]]), ...more });
      const coloured = mine.filter((curve) => chosen.includes(curve.row));
      const colourOf = (curve) => COLOURS[chosen.indexOf(curve.row)];
      chart(panel, {
        x: { label: `size of graphs, ${unit}`, log: true, ticks: bins.map((bin) => ({ at: bin.mean, text: bin.name })) },
        y: { label: `test ${data.metric}, better is up`, flip: !data.maximize, range },
        bands: coloured.map((curve) => ({
          points: bins.map((bin, place) => curve.halves[place] === null ? [null] :
            [bin.mean, curve.means[place] - curve.halves[place], curve.means[place] + curve.halves[place]]),
          colour: colourOf(curve),
        })),
        lines: [
          { points: bins.map((bin) => [bin.mean, bin.constant]), colour: "var(--ink)", dash: "1 4" },
          ...mine.filter((curve) => !chosen.includes(curve.row) && !curve.base).map((curve) => lineOf(curve, { colour: "var(--pale)", width: 1 })),
          ...mine.filter((curve) => curve.base).map((curve) => lineOf(curve, { colour: "var(--ink)", dash: "6 3" })),
          ...coloured.map((curve) => lineOf(curve, { colour: colourOf(curve), width: 2 })),
        ],
        points: [...mine].sort((a, b) => chosen.includes(a.row) - chosen.includes(b.row)).flatMap((curve) => bins.flatMap((bin, place) => curve.means[place] === null ? [] : [{
          x: bin.mean, y: curve.means[place],
          colour: chosen.includes(curve.row) ? colourOf(curve) : curve.base ? "var(--ink)" : "var(--pale)",
          size: chosen.includes(curve.row) ? 0.8 : 0.55,
          tip: `${curve.row}\n${bin.name} ${unit} (${bin.graphs} graphs): ${shown(Number(curve.means[place].toPrecision(4)))}`,
        }])),
        height: 300,
      });
    });
    keys.replaceChildren();
    const list = element("ul", { class: "legend" }, keys);
    for (const row of rows.filter((each) => each !== base)) {
      const on = chosen.includes(row);
      const button = element("button", { type: "button", "aria-pressed": on }, element("li", {}, list));
      sample(button, { colour: on ? COLOURS[chosen.indexOf(row)] : "var(--pale)" });
      button.append(row);
      button.addEventListener("click", () => {
        if (on) chosen.splice(chosen.indexOf(row), 1);
        else if (chosen.push(row) > COLOURS.length) chosen.shift();
        draw();
        [...keys.querySelectorAll("button")].find((each) => each.textContent === row)?.focus();
      });
    }
    legend(keys, [
      ...(base === undefined ? [] : [{ colour: "var(--ink)", dash: "6 3", text: base }]),
      { colour: "var(--ink)", dash: "1 4", text: "constant prediction" },
    ]);
  }
  keptDrawn(draw);
  element("figcaption", {}, host, `Up to four encodings have a colour: a click on a name changes that; the best on the largest graphs ` +
    `stand first. Bands: 95 % intervals over seeds. The first sizes, ${bins[0].name} ${unit}, are those of training.`);
}

// What is hovered over, or has the focus, is described beside it.
const tip = document.getElementById("tip");
function showTip(event) {
  const about = event.target.closest?.("[data-tip]");
  tip.hidden = !about;
  if (!about) return;
  tip.textContent = about.dataset.tip;
  const box = about.getBoundingClientRect();
  const above = box.top - tip.offsetHeight - 8;
  tip.style.top = `${above > 0 ? above : Math.min(box.bottom + 8, innerHeight - tip.offsetHeight - 4)}px`;
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
}
for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, showTip);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

// Numbers within the page are compressed: they are saved as plain CSV where the browser can.
for (const link of document.querySelectorAll("a[download]")) {
  if (typeof DecompressionStream === "undefined") break;
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const packed = Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const address = URL.createObjectURL(new Blob([await new Response(stream).arrayBuffer()], { type: "text/csv" }));
    element("a", { href: address, download: link.download.replace(".gz", "") }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  });
}

document.querySelectorAll("section.task").forEach((section, place) => {
  const data = DATA.sections[place];
  cells(section, data, section.id);
  against(section, data);
  sizes(section, data);
});
