/** Begin from a file: say what it seems to hold, send it in parts that resume, make it a dataset. */
import { Problem, complain, told } from "./send.js";

const PART = 4 << 20; // bytes of a request: what a broken connection can cost
const HEAD = 1 << 16; // bytes that are looked at before
const SHOWN = 8; // columns
const TUS = { "Tus-Resumable": "1.0.0" };
const form = document.getElementById("upload");
const [input, found, names] = [form.elements.file, form.querySelector("[data-found]"), document.getElementById("columns")];
const [button, pause] = form.querySelectorAll("button");
const box = form.querySelector("[data-progress]");
const [bar, output] = box.children;

const element = (name, ...content) => {
  const made = document.createElement(name);
  made.append(...content);
  return made;
};

/** Rows of CSV text, quotes as RFC 4180 has them; the last may be cut off and is dropped. */
const csv = (text, comma) => {
  const rows = [[""]];
  let quoted = false;
  for (const sign of text) {
    const row = rows[rows.length - 1];
    if (sign === '"') quoted = !quoted;
    else if (quoted || (sign !== comma && sign !== "\n")) row[row.length - 1] += sign === "\r" ? "" : sign;
    else if (sign === comma) row.push("");
    else rows.push([""]);
  }
  return rows.slice(0, -1);
};

/** The names of the columns and the first rows, of a text format; null of any other. */
const peek = async (file) => {
  const text = await file.slice(0, HEAD).text();
  const [, kind] = /\.(csv|tsv|jsonl|ndjson)$/i.exec(file.name) ?? [];
  if (!kind) return null;
  if (/sv$/i.test(kind)) {
    const [head, ...rows] = csv(text + (file.size <= HEAD ? "\n" : ""), /^t/i.test(kind) ? "\t" : ",");
    return head && { columns: head, rows: rows.slice(0, 5) };
  }
  const lines = text.split("\n").slice(0, file.size > HEAD ? -1 : undefined).filter((line) => line.trim());
  const values = lines.slice(0, 5).map((line) => JSON.parse(line));
  const columns = Object.keys(values[0] ?? {});
  return { columns, rows: values.map((one) => columns.map((name) => JSON.stringify(one[name]) ?? "")) };
};

/** What the server will take each column for, in words. */
const guess = (columns) => {
  const has = (name) => columns.includes(form.elements[name].value || name);
  const name = (column) => form.elements[column].value || column;
  const numbered = columns.filter((column) => /\d$/.test(column) && column !== name("label"));
  const parts = [has("label") ? `classes in ${name("label")}` : "no column is called label: name the one with the classes below"];
  if (has("embedding")) parts.push(`embeddings in ${name("embedding")}`);
  else if (numbered.length > 1) parts.push(`embeddings in ${numbered.length} numbered columns, ${numbered[0]} to ${numbered[numbered.length - 1]}`);
  else if (has("text")) parts.push(`texts in ${name("text")}, which a provider embeds`);
  else parts.push("neither embeddings nor texts were found");
  for (const column of ["split", "domain", "group", "id"]) if (has(column)) parts.push(`${column} in ${name(column)}`);
  if (!has("split")) parts.push("a fifth of the rows will be held out as test");
  return `${parts.join("; ")}.`;
};

const look = async () => {
  const [file] = input.files;
  found.replaceChildren();
  if (!file) return;
  const size = `${file.name}, ${(file.size / 1e6).toFixed(file.size < 1e5 ? 3 : 1)} MB`;
  const seen = await peek(file).catch(() => null);
  if (!seen) {
    found.append(element("p", `${size}. Its columns are read once it is here.`));
    return;
  }
  const { columns, rows } = seen;
  names.replaceChildren(...columns.slice(0, 400).map((name) => Object.assign(element("option"), { value: name })));
  const cells = (row, kind) => element("tr", ...row.slice(0, SHOWN).map((one) => element(kind, one.length > 40 ? `${one.slice(0, 39)}…` : one)));
  const more = columns.length > SHOWN ? ` (the first ${SHOWN} are shown)` : "";
  const table = element("table", element("caption", `${columns.length} columns${more}, the first ${rows.length} rows`), element("thead", cells(columns, "th")), element("tbody", ...rows.map((row) => cells(row, "td"))));
  table.className = "data";
  const scroll = Object.assign(element("div", table), { className: "scroll", tabIndex: 0 });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Table: the first rows");
  found.append(element("p", `${size}: ${guess(columns)}`), scroll);
};

const ask = async (path, options) => {
  const answer = await fetch(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  return [answer, await told(answer)];
};

/** The upload of this file that was begun before, or a new one: its address and where to go on. */
const begin = async (file, key) => {
  const known = localStorage.getItem(key);
  if (known) {
    const answer = await fetch(known, { method: "HEAD", headers: TUS });
    if (answer.ok) return [known, Number(answer.headers.get("Upload-Offset"))];
  }
  const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)));
  const headers = { ...TUS, "Upload-Length": file.size, "Upload-Metadata": `filename ${name}` };
  const [, upload] = await ask(form.dataset.uploads, { method: "POST", headers });
  const address = `${form.dataset.uploads}/${upload.id}`;
  localStorage.setItem(key, address);
  return [address, 0];
};

let stop = null;
const run = async () => {
  const [file] = input.files;
  const key = `nmtune.upload ${file.name} ${file.size} ${file.lastModified}`;
  stop = new AbortController();
  const show = (offset) => {
    bar.value = file.size ? offset / file.size : 1;
    output.textContent = `${(offset / 1e6).toFixed(1)} of ${(file.size / 1e6).toFixed(1)} MB`;
  };
  let [address, offset] = await begin(file, key);
  while (offset < file.size) {
    show(offset);
    const headers = { ...TUS, "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
    const [answer] = await ask(address, { method: "PATCH", headers, body: file.slice(offset, offset + PART), signal: stop.signal });
    offset = Number(answer.headers.get("Upload-Offset"));
  }
  show(offset);
  output.textContent = "All bytes are here; they are being read.";
  pause.hidden = true;
  const query = new URLSearchParams({ upload: address.split("/").pop() });
  for (const { name, value } of form.elements) if (name && name !== "file" && value) query.set(name, value);
  try {
    const [, dataset] = await ask(`${form.getAttribute("action")}?${query}`, { method: "POST" });
    await fetch(address, { method: "DELETE", headers: TUS });
    localStorage.removeItem(key);
    location.assign(form.dataset.then + dataset.id);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) localStorage.removeItem(key);
    throw error;
  }
};

const start = async () => {
  form.querySelector(".problem")?.remove();
  box.hidden = pause.hidden = false;
  button.disabled = true;
  pause.textContent = "Pause";
  try {
    await run();
  } catch (error) {
    button.disabled = false;
    pause.hidden = true;
    button.textContent = "Go on";
    if (error.name === "AbortError") output.textContent += ", paused";
    else complain(form, error);
  }
};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
pause.addEventListener("click", () => stop?.abort());
form.addEventListener("change", look);
form.addEventListener("dragover", (event) => event.preventDefault());
form.addEventListener("drop", (event) => {
  event.preventDefault();
  input.files = event.dataTransfer.files;
  look();
});
button.disabled = false;
look();
