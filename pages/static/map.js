/** The map of a job's rows: points on a canvas; a lasso, the arrow keys or a class select some. */
import { complain } from "./send.js";

const root = document.querySelector("[data-map]");
const [canvas, histogram] = root.querySelectorAll("canvas");
const form = root.querySelector("form");
const said = root.querySelector("output");
const legend = root.querySelector("[data-legend]");
const table = root.querySelector("[data-chosen] tbody");
const more = root.querySelector("[data-more]");
const TYPES = { U8: Uint8Array, U16: Uint16Array, U32: Uint32Array, F32: Float32Array };
const CORNERS = [[], [-0.9, -0.9, 0.9, -0.9, 0.9, 0.9, -0.9, 0.9], [0, -1.2, 1.1, 0.8, -1.1, 0.8], [0, -1.3, 1.3, 0, 0, 1.3, -1.3, 0]];
const SIDE = 65535, N_COLOURS = 8, N_BINS = 40, PAGE = 50, KEPT = 200;

/** The columns of a safetensors file, by name, and its metadata. */
const read = (bytes) => {
  const start = 8 + Number(new DataView(bytes).getBigUint64(0, true));
  const { __metadata__: told, ...entries } = JSON.parse(new TextDecoder().decode(bytes.slice(8, start)));
  const columns = {};
  for (const [name, { dtype, data_offsets: [from, to] }] of Object.entries(entries)) {
    columns[name] = new TYPES[dtype](bytes.slice(start + from, start + to));
  }
  return [columns, told];
};

const show = (of, told) => {
  const classes = JSON.parse(told.classes), splits = JSON.parse(told.splits), threshold = Number(told.ood_threshold) || Infinity;
  const n = of.row.length, all = [...Array(n).keys()];
  const scores = of.ood_score ?? new Float32Array(n);
  const top = [...scores].sort((a, b) => a - b)[Math.floor(0.995 * (n - 1))] * 1.05 || 1;
  const rows = [...root.querySelectorAll("[data-class]")];
  const query = new URLSearchParams(location.search);
  const chosen = new Set(query.has("class") ? query.getAll("class") : JSON.parse(root.dataset.first));
  let selected = new Set((query.get("sel") ?? "").split(".").filter(Boolean).map((at) => parseInt(at, 36)).filter((at) => at < n));
  let look = { x: SIDE / 2, y: SIDE / 2, zoom: 1 }, cursor = -1, lasso = null, held = null, listed = 0, bound = 0;
  let visible = all, series = [], of_series = new Uint8Array(n), colours = [];

  const css = (name) => {
    const text = getComputedStyle(root).getPropertyValue(name), [, light, dark] = /\((.+),\s*(.+)\)/.exec(text) ?? [];
    return matchMedia("(prefers-color-scheme: dark)").matches ? dark : light;
  };
  const points = () => of[form.view.value] ?? of.pca_tuned;
  const scale = () => (Math.min(canvas.clientWidth, canvas.clientHeight) * 0.94 * look.zoom) / SIDE;
  const place = (at) => {
    const xy = points(), by = scale();
    return [canvas.clientWidth / 2 + (xy[2 * at] - look.x) * by, canvas.clientHeight / 2 - (xy[2 * at + 1] - look.y) * by];
  };

  /** What each colour stands for, and which each point has; 0 is grey. */
  const classify = () => {
    const by = form.colour.value, names = [...chosen].slice(0, N_COLOURS);
    const mark = (list, which) => (series = list, (of_series = Uint8Array.from(all, which)));
    if (by === "split") mark(["", ...splits], (at) => (of.split[at] < N_COLOURS ? of.split[at] + 1 : 0));
    else if (by === "error") mark(["right", "error"], (at) => Number(of.label[at] !== of.predicted[at]));
    else if (by === "suspected") mark(["not suspected", "suspected label"], (at) => of.suspected[at]);
    else if (by === "ood") mark(["up to the threshold", "above it", "above 1.5 times it", "above twice it"], (at) => [1, 1.5, 2].filter((times) => scores[at] > times * threshold).length);
    else {
      const numbers = new Map(names.map((name, at) => [classes.indexOf(name), at + 1]));
      mark(["other classes", ...names], (at) => numbers.get(of[by][at]) ?? 0);
    }
    colours = [...Array(N_COLOURS + 1).keys()].map((at) => css(`--s${at}`));
    const split = splits.indexOf(form.split.value), field = by === "predicted" ? of.predicted : of.label;
    visible = all.filter((at) => (split < 0 || of.split[at] === split) && (!form.only.checked || chosen.has(classes[field[at]])) && scores[at] >= bound);
  };

  const mark = (ink, shape, x, y, r) => {
    const corners = CORNERS[shape % 4];
    if (!corners.length) return ink.moveTo(x + r, y), ink.arc(x, y, r, 0, 7);
    for (let at = 0; at < corners.length; at += 2) ink[at ? "lineTo" : "moveTo"](x + r * corners[at], y + r * corners[at + 1]);
    ink.closePath();
  };
  const paint = (ink, number, marks) => {
    ink.beginPath();
    marks();
    ink.fillStyle = ink.strokeStyle = colours[number];
    ink.lineWidth = 1.5;
    ink.globalAlpha = number ? 0.9 : 0.35;
    ink[number > 4 ? "stroke" : "fill"]();
    ink.globalAlpha = 1;
  };
  const sized = (of_page) => {
    const { clientWidth: width, clientHeight: height } = of_page, sharp = devicePixelRatio || 1;
    Object.assign(of_page, { width: width * sharp, height: height * sharp });
    const ink = of_page.getContext("2d");
    ink.scale(sharp, sharp);
    return ink;
  };
  const ring = (ink, at, r) => {
    const [x, y] = place(at);
    ink.beginPath();
    ink.arc(x, y, r, 0, 7);
    ink.stroke();
  };

  const draw = () => {
    const ink = sized(canvas);
    for (const number of series.keys()) {
      paint(ink, number, () => {
        for (const at of visible) if (of_series[at] === number) mark(ink, number ? number - 1 : 0, ...place(at), number ? 3.6 : 2.2);
      });
    }
    ink.strokeStyle = css("--text");
    for (const at of selected) ring(ink, at, 5.5);
    ink.lineWidth = 2.5;
    if (cursor >= 0) ring(ink, cursor, 9);
    if (lasso) {
      ink.setLineDash([5, 4]);
      ink.beginPath();
      for (const [x, y] of lasso) ink.lineTo(x, y);
      ink.stroke();
    }
  };
  const drawHistogram = () => {
    if (!histogram) return;
    const ink = sized(histogram), { clientWidth: width, clientHeight: height } = histogram, base = height - 18;
    const counted = (which) => {
      const bins = new Float64Array(N_BINS);
      for (const at of which) bins[Math.min(N_BINS - 1, Math.floor((scores[at] / top) * N_BINS))] += 1;
      return bins;
    };
    const bins = counted(visible), most = Math.max(1, ...bins);
    const bars = (heights, colour) => {
      ink.fillStyle = colour;
      heights.forEach((count, at) => count && ink.fillRect((at * width) / N_BINS, base, width / N_BINS - 1, -Math.max(2, (base - 14) * Math.sqrt(count / most))));
    };
    bars(bins, colours[0]);
    bars(counted(selected), colours[2]);
    const x = (threshold / top) * width;
    ink.fillStyle = css("--text");
    ink.fillRect(x, 0, 1.5, base);
    ink.font = `12px ${getComputedStyle(root).fontFamily}`;
    ink.textAlign = x > width / 2 ? "right" : "left";
    ink.fillText("threshold", x + (x > width / 2 ? -5 : 6), 10);
    ink.textAlign = "left";
    ink.fillText("0", 0, height - 4);
    ink.textAlign = "right";
    ink.fillText(top.toFixed(1), width, height - 4);
  };

  const name = (at) => `row ${of.row[at]} of ${splits[of.split[at]]}: ${classes[of.label[at]]}` + (of.label[at] === of.predicted[at] ? "" : `, taken for ${classes[of.predicted[at]]}`) + (of.ood_score ? `, OOD score ${scores[at].toFixed(2)}` : "") + (of.suspected[at] ? ", its label is suspected" : "");
  const tell = (at) => (said.textContent = at < 0 ? "" : name(at));

  const keep = () => {
    const address = new URL(location.href), { searchParams: told } = address;
    for (const field of ["view", "colour", "split"]) form[field].value ? told.set(field, form[field].value) : told.delete(field);
    form.only.checked ? told.set("only", "1") : told.delete("only");
    bound ? told.set("ood", bound) : told.delete("ood");
    told.delete("class");
    for (const one of chosen) told.append("class", one);
    if (!chosen.size) told.append("class", "");
    selected.size && selected.size <= KEPT ? told.set("sel", [...selected].map((at) => at.toString(36)).join(".")) : told.delete("sel");
    history.replaceState(null, "", address);
  };
  const update = () => {
    classify();
    const counts = new Uint32Array(series.length);
    for (const at of visible) counts[of_series[at]] += 1;
    legend.replaceChildren();
    series.forEach((text, number) => {
      if (!counts[number] && !(number && chosen.has(text))) return;
      const item = document.createElement("li"), key = document.createElement("canvas"), words = document.createElement("bdi");
      key.className = "key";
      words.textContent = `${text || "further splits"} (${counts[number].toLocaleString("en")})`;
      item.append(key, words);
      legend.append(item);
      const ink = sized(key);
      paint(ink, number, () => mark(ink, number ? number - 1 : 0, 8, 8, number ? 5 : 3));
    });
    for (const row of rows) row.querySelector("input").checked = chosen.has(classes[row.dataset.class]);
    draw();
    drawHistogram();
    keep();
  };

  const cell = (row, text, isName) => {
    const made = row.insertCell(), words = document.createElement(isName ? "bdi" : "span");
    words.textContent = text ?? "–";
    made.className = isName ? "t" : "";
    made.append(words);
  };
  /** The next selected rows, with their texts as the data set has them. */
  const list = async () => {
    const page = [...selected].slice(listed, listed + PAGE), of_rows = selected;
    listed += page.length;
    more.hidden = listed >= selected.size;
    const known = new Map();
    try {
      for (const split of new Set(page.map((at) => splits[of.split[at]]))) {
        const wanted = page.filter((at) => splits[of.split[at]] === split).map((at) => of.row[at]);
        const answer = await fetch(`${root.dataset.rows}?${new URLSearchParams({ split, rows: wanted, limit: PAGE })}`);
        const body = await answer.json();
        if (!answer.ok) throw new Error(`Their texts and ids are not there: ${body.detail}`);
        for (const one of body.items) known.set(`${split} ${one.row}`, one);
      }
    } catch (error) {
      complain(root.querySelector("[data-chosen]"), error);
    }
    if (of_rows !== selected) return;
    for (const at of page) {
      const row = table.insertRow(), split = splits[of.split[at]], one = known.get(`${split} ${of.row[at]}`) ?? {};
      cell(row, one.file_row ?? of.row[at]);
      cell(row, split, true);
      cell(row, one.text ?? one.id, true);
      cell(row, classes[of.label[at]], true);
      cell(row, classes[of.predicted[at]], true);
      cell(row, of.ood_score && scores[at].toFixed(2));
    }
  };
  const select = (which) => {
    selected = new Set(which);
    listed = 0;
    table.replaceChildren();
    root.querySelector("[data-count]").textContent = selected.size ? `${selected.size.toLocaleString("en")} selected` : "None selected";
    table.closest(".scroll").hidden = !selected.size;
    list();
    draw();
    drawHistogram();
    keep();
  };
  const toggle = (at) => select(selected.has(at) ? [...selected].filter((one) => one !== at) : [...selected, at]);

  const nearest = (x, y, within, allowed = () => true) => {
    let best = -1, least = within;
    for (const at of visible) {
      const [px, py] = place(at), far = Math.hypot(px - x, py - y);
      if (far < least && allowed(px - x, py - y)) [best, least] = [at, far];
    }
    return best;
  };
  const inside = ([x, y]) => {
    let is_in = false;
    lasso.forEach(([ax, ay], at) => {
      const [bx, by] = lasso.at(at - 1);
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) is_in = !is_in;
    });
    return is_in;
  };
  const zoom = (times) => ((look.zoom = Math.min(64, Math.max(0.5, look.zoom * times))), draw());
  const move = (dx, dy) => ((look.x -= dx / scale()), (look.y += dy / scale()), draw());
  const whole = () => ((look = { x: SIDE / 2, y: SIDE / 2, zoom: 1 }), draw());

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held = [event.offsetX, event.offsetY];
    lasso = form.move.checked ? null : [held];
  });
  canvas.addEventListener("pointermove", ({ offsetX: x, offsetY: y }) => {
    if (!held) return tell(nearest(x, y, 12));
    if (lasso) lasso.push([x, y]), draw();
    else move(x - held[0], y - held[1]), (held = [x, y]);
  });
  canvas.addEventListener("pointerup", ({ offsetX: x, offsetY: y, shiftKey }) => {
    const path = lasso, found = lasso && lasso.length > 4 ? visible.filter((at) => inside(place(at))) : null;
    held = lasso = null;
    if (found) return select(shiftKey ? [...selected, ...found] : found);
    const at = path ? nearest(x, y, 12) : -1;
    at >= 0 ? toggle(at) : draw();
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !form.move.checked) return; // the page scrolls
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
  });
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const way = WAYS[event.key], keys = { "+": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: whole, Escape: () => select([]), Enter: () => cursor >= 0 && toggle(cursor) };
    if (!way && !keys[event.key]) return;
    event.preventDefault();
    if (!way) return keys[event.key]();
    if (event.shiftKey) return move(-60 * way[0], -60 * way[1]);
    const [x, y] = cursor < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : place(cursor);
    const ahead = (dx, dy) => dx * way[0] + dy * way[1] > Math.abs(dx * way[1] + dy * way[0]) + 0.01;
    const next = nearest(x, y, Infinity, cursor < 0 ? undefined : ahead);
    if (next >= 0) cursor = next;
    tell(cursor);
    draw();
  });
  for (const [which, act] of Object.entries({ in: () => zoom(1.5), out: () => zoom(1 / 1.5), whole, none: () => select([]) })) root.querySelector(`[data-do=${which}]`).addEventListener("click", act);
  more.addEventListener("click", list);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    bound = Number(form.ood?.value ?? 0);
    form.ood?.setAttribute("aria-valuetext", `OOD scores from ${bound.toFixed(2)}`);
    update();
  });
  for (const row of rows) {
    const box = document.createElement("input"), button = document.createElement("button"), label = classes[row.dataset.class];
    Object.assign(box, { type: "checkbox", onchange: () => (box.checked ? chosen.add(label) : chosen.delete(label), update()) });
    box.setAttribute("aria-label", `Colour ${label}`);
    button.textContent = "Select";
    button.setAttribute("aria-label", `Select the rows of ${label}`);
    button.addEventListener("click", () => select([...selected, ...visible.filter((at) => of.label[at] === Number(row.dataset.class))]));
    row.cells[0].prepend(box, " ");
    row.insertCell().append(button);
  }
  if (form.ood) Object.assign(form.ood, { max: top, step: top / 100, value: (bound = Number(query.get("ood") ?? 0)) });
  form.only.checked = query.get("only") === "1";
  new ResizeObserver(() => (draw(), drawHistogram())).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  root.hidden = false;
  update();
  select(selected);
};

try {
  const answer = await fetch(root.dataset.map);
  if (!answer.ok) throw new Error((await answer.json()).detail);
  show(...read(await answer.arrayBuffer()));
} catch (error) {
  complain(root.parentElement, error);
}
