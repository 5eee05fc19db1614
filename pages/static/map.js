/** The map of a job's rows: points on a canvas; a lasso, the arrow keys or a class select some. */
import { addRow } from "./cells.js";
import { complain, send } from "./send.js";

const root = document.querySelector("[data-map]");
const find = (name) => root.querySelector(`[data-${name}]`);
const [canvas, histogram] = root.querySelectorAll("canvas");
const form = root.querySelector("form");
const dark = matchMedia("(prefers-color-scheme: dark)");
const TYPES = { U8: Uint8Array, U16: Uint16Array, U32: Uint32Array, F32: Float32Array };
const CORNERS = [[], [-0.9, -0.9, 0.9, -0.9, 0.9, 0.9, -0.9, 0.9], [0, -1.2, 1.1, 0.8, -1.1, 0.8], [0, -1.3, 1.3, 0, 0, 1.3, -1.3, 0]];
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SIDE = 65535, N_COLOURS = 8, N_BINS = 40, PAGE = 50, KEPT = 200;

/** The columns of a safetensors file, and its metadata. */
const read = (bytes) => {
  const start = 8 + new DataView(bytes).getUint32(0, true);
  const { __metadata__: told, ...entries } = JSON.parse(new TextDecoder().decode(bytes.slice(8, start)));
  const column = ([name, { dtype, data_offsets: [from, to] }]) => [name, new TYPES[dtype](bytes.slice(start + from, start + to))];
  return [Object.fromEntries(Object.entries(entries).map(column)), told];
};

const css = (name) => /\((.+), (.+)\)/.exec(getComputedStyle(root).getPropertyValue(name))[dark.matches ? 2 : 1];
const mark = (ink, shape, x, y, r) => {
  const corners = CORNERS[shape % 4];
  ink.moveTo(x + r * (corners[0] ?? 1), y + r * (corners[1] ?? 0));
  if (!corners.length) ink.arc(x, y, r, 0, 7);
  for (let at = 2; at < corners.length; at += 2) ink.lineTo(x + r * corners[at], y + r * corners[at + 1]);
  ink.closePath();
};
/** Draw marks in the colour of a series: 0 is grey, those from 5 on are hollow. */
const paint = (ink, number, marks) => {
  ink.beginPath();
  marks(number ? number - 1 : 0, number ? 3.6 : 2.2);
  ink.fillStyle = ink.strokeStyle = css(`--s${number}`);
  ink.globalAlpha = number ? 0.9 : 0.4;
  ink[number > 4 ? "stroke" : "fill"]();
  ink.globalAlpha = 1;
};
const clean = (page) => {
  const sharp = devicePixelRatio, ink = page.getContext("2d");
  Object.assign(page, { width: page.clientWidth * sharp, height: page.clientHeight * sharp });
  ink.scale(sharp, sharp);
  ink.lineWidth = 1.3;
  return ink;
};

const show = (of, told) => {
  const classes = JSON.parse(told.classes), splits = JSON.parse(told.splits), threshold = Number(told.ood_threshold) || Infinity;
  const all = [...of.row.keys()], scores = of.ood_score;
  const top = Number(form.ood?.max), is_error = (at) => Boolean(classes[of.predicted[at]]) && of.label[at] !== of.predicted[at];
  let selected = new Set((root.dataset.selected || "").split(".").map((at) => parseInt(at, 36)).filter((at) => at < all.length));
  let look, cursor = -1, lasso = null, held = null, n_listed = 0, visible = all, series = [], of_series = [];

  const scale = () => (Math.min(canvas.clientWidth, canvas.clientHeight) * 0.94 * look.zoom) / SIDE;
  const place = (at) => {
    const xy = of[form.view.value], by = scale();
    return [canvas.clientWidth / 2 + (xy[2 * at] - look.x) * by, canvas.clientHeight / 2 - (xy[2 * at + 1] - look.y) * by];
  };
  const draw = () => {
    const ink = clean(canvas);
    const ring = (at, r) => {
      const [x, y] = place(at);
      ink.moveTo(x + r, y);
      ink.arc(x, y, r, 0, 7);
    };
    for (const number of series.keys()) paint(ink, number, (shape, r) => visible.forEach((at) => of_series[at] === number && mark(ink, shape, ...place(at), r)));
    ink.strokeStyle = css("--text");
    ink.globalAlpha = selected.size > KEPT ? 0.4 : 1;
    ink.beginPath();
    for (const at of selected) ring(at, 5);
    ink.stroke();
    ink.globalAlpha = 1;
    ink.beginPath();
    if (cursor >= 0) [9, 10].forEach((r) => ring(cursor, r));
    lasso?.forEach((point, at) => ink[at ? "lineTo" : "moveTo"](...point));
    ink.stroke();
    if (!histogram) return;
    const bars = clean(histogram), { clientWidth: width, clientHeight: height } = histogram;
    const count = (which) => which.reduce((bins, at) => ((bins[Math.min(N_BINS - 1, Math.floor((scores[at] / top) * N_BINS))] += 1), bins), Array(N_BINS).fill(0));
    const counted = count(visible), most = Math.max(1, ...counted);
    for (const [bins, colour] of [[counted, "--s0"], [count([...selected]), "--s2"]]) {
      bars.fillStyle = css(colour);
      bins.forEach((n, at) => n && bars.fillRect((at * width) / N_BINS, height, width / N_BINS - 1, -Math.max(2, (height * n) / most)));
    }
    bars.fillStyle = css("--text");
    bars.fillRect((threshold / top) * width, 0, 2, height);
  };
  const keep = () => {
    const now = new URLSearchParams(new FormData(form));
    if (selected.size <= KEPT) now.set("sel", [...selected].map((at) => at.toString(36)).join("."));
    history.replaceState(null, "", `?${now}`);
  };

  /** Say what the colours stand for and which points are shown, as the form has it. */
  const update = () => {
    const by = form.colour.value, bound = Number(form.ood?.value ?? 0), split = splits.indexOf(form.split.value), kind = of[by === "predicted" ? by : "label"];
    const chosen = new FormData(form).getAll("class").filter(Boolean).map(Number).slice(0, N_COLOURS);
    const [which, ...rest] = {
      split: [(at) => (of.split[at] + 1) % (N_COLOURS + 1), "further splits", ...splits.slice(0, N_COLOURS)],
      error: [(at) => Number(is_error(at)), "right", "error"],
      suspected: [(at) => of.suspected[at], "not suspected", "suspected label"],
      ood: [(at) => Number(scores[at] > threshold), "up to the threshold", "above the threshold"],
    }[by] ?? [(at) => chosen.indexOf(kind[at]) + 1, "other classes", ...chosen.map((at) => classes[at])];
    series = rest;
    of_series = all.map(which);
    visible = all.filter((at) => (split < 0 || of.split[at] === split) && (!form.only.checked || chosen.includes(kind[at])) && !(scores[at] < bound));
    const items = series.map((text, number) => {
      const item = document.createElement("li"), key = document.createElement("canvas"), words = document.createElement("bdi");
      words.append(`${text} (${visible.filter((at) => of_series[at] === number).length})`);
      item.append(key, words);
      return item;
    });
    find("legend").replaceChildren(...items);
    items.forEach((item, number) => {
      const ink = clean(item.firstChild);
      paint(ink, number, (shape, r) => mark(ink, shape, 8, 8, r * 1.4));
    });
    draw();
    keep();
  };

  /** List the next selected rows, with their texts as the data set has them. */
  const list = async () => {
    const page = [...selected].slice(n_listed, n_listed + PAGE), now = selected, known = new Map();
    n_listed += page.length;
    find("more").hidden = n_listed >= selected.size;
    try {
      for (const split of new Set(page.map((at) => of.split[at]))) {
        const rows = page.filter((at) => of.split[at] === split).map((at) => of.row[at]);
        const { items } = await send("GET", `${root.dataset.rows}?${new URLSearchParams({ split: splits[split], rows, limit: PAGE })}`);
        for (const one of items) known.set(`${split} ${one.row}`, one);
      }
    } catch (error) {
      complain(find("chosen"), error);
    }
    if (now !== selected) return;
    for (const at of page) {
      const one = known.get(`${of.split[at]} ${of.row[at]}`) ?? {};
      addRow(root.querySelector("[data-chosen] tbody"), one.file_row ?? of.row[at], splits[of.split[at]], one.text ?? one.id, classes[of.label[at]], classes[of.predicted[at]], form.ood && Number(scores[at].toFixed(2)));
    }
  };
  const select = (which) => {
    selected = new Set(which);
    n_listed = 0;
    find("chosen").querySelector("tbody").replaceChildren();
    find("chosen").querySelector(".scroll").hidden = !selected.size;
    find("count").textContent = selected.size ? `${selected.size} selected` : "None selected";
    list();
    draw();
    keep();
  };
  const toggle = (at) => at >= 0 && select(selected.has(at) ? [...selected].filter((one) => one !== at) : [...selected, at]);
  const nearest = (x, y, within, allowed = () => true) => {
    let best = -1, least = within;
    for (const at of visible) {
      const [px, py] = place(at), far = Math.hypot(px - x, py - y);
      if (far < least && allowed(px - x, py - y)) [best, least] = [at, far];
    }
    return best;
  };
  const tell = (at) => {
    if (at < 0) return;
    const parts = [`Row ${of.row[at]} of ${splits[of.split[at]]}: ${classes[of.label[at]]}`];
    if (is_error(at)) parts.push(`taken for ${classes[of.predicted[at]]}`);
    if (form.ood) parts.push(`OOD score ${scores[at].toFixed(2)}`);
    if (of.suspected[at]) parts.push("its label is suspected");
    root.querySelector("output").textContent = parts.join(", ");
  };
  const move = (dx, dy) => {
    look.x -= dx / scale();
    look.y += dy / scale();
    draw();
  };
  const zoom = (times) => () => {
    look.zoom = Math.min(64, Math.max(0.5, look.zoom * times));
    draw();
  };
  const whole = () => {
    const middle = (odd) => {
      const values = of[form.view.value].filter((_, at) => at % 2 === odd);
      return (Math.min(...values) + Math.max(...values)) / 2;
    };
    look = { x: middle(0), y: middle(1), zoom: 1 };
    draw();
  };
  const ACTS = { "+": zoom(1.5), "-": zoom(1 / 1.5), 0: whole, Escape: () => select([]), Enter: () => toggle(cursor) };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held = [event.offsetX, event.offsetY];
    lasso = form.move.checked ? null : [held];
  });
  canvas.addEventListener("pointermove", ({ offsetX: x, offsetY: y }) => {
    if (!held) return tell(nearest(x, y, 12));
    if (!lasso) move(x - held[0], y - held[1]);
    held = [x, y];
    lasso?.push(held);
    draw();
  });
  canvas.addEventListener("pointerup", ({ offsetX: x, offsetY: y, shiftKey }) => {
    const path = lasso;
    held = lasso = null;
    if (!path) return;
    if (path.length < 5) return toggle(nearest(x, y, 12));
    const ink = canvas.getContext("2d"), area = new Path2D();
    path.forEach((point) => area.lineTo(...point));
    ink.resetTransform();
    select([...(shiftKey ? selected : []), ...visible.filter((at) => ink.isPointInPath(area, ...place(at)))]);
  });
  canvas.addEventListener("keydown", (event) => {
    const way = WAYS[event.key], [dx, dy] = way ?? [];
    if (!way && !ACTS[event.key]) return;
    event.preventDefault();
    if (!way) return ACTS[event.key]();
    if (event.shiftKey) return move(-60 * dx, -60 * dy);
    const from = cursor < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : place(cursor);
    const next = nearest(...from, Infinity, (x, y) => cursor < 0 || x * dx + y * dy > Math.abs(x * dy + y * dx) + 0.01);
    if (next >= 0) cursor = next;
    tell(cursor);
    draw();
  });
  root.addEventListener("click", ({ target: { dataset: { act, select: label } } }) => {
    if (act) ACTS[act]();
    if (label) select([...selected, ...visible.filter((at) => of.label[at] === Number(label))]);
  });
  find("more").addEventListener("click", list);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.view.addEventListener("change", whole);
  root.addEventListener("input", update);
  for (const part of root.querySelectorAll("[data-live]")) part.hidden = false;
  new ResizeObserver(draw).observe(canvas);
  dark.addEventListener("change", update);
  whole();
  update();
  select(selected);
};

try {
  const answer = await fetch(root.dataset.map);
  if (!answer.ok) throw new Error((await answer.json()).detail);
  show(...read(await answer.arrayBuffer()));
} catch (error) {
  complain(root, error);
}
