/** Try a head: a text, a vector or an .npy file with one row; what it says, as bars and in words. */
import { addRow } from "./cells.js";
import { complain, send } from "./send.js";

const root = document.querySelector("[data-try]");
const find = (name) => root.querySelector(name);
const form = find("form");
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/** The numbers of an .npy file with one row of float32 or float64. */
const numbers = async (file) => {
  const bytes = await file.arrayBuffer(), text = new TextDecoder("latin1").decode(bytes.slice(0, 4096));
  const [header, size, rows, n] = /^.NUMPY[^]{4,6}?\{'descr': '<f([48])', 'fortran_order': \w+, 'shape': \((1, )?(\d+),?\), \} *\n/.exec(text) ?? [];
  if (bytes.byteLength !== header?.length + n * size) {
    throw new Error(`${file.name} is not an .npy file with one row of float32 or float64. Write one with numpy.save("row.npy", embeddings[0].astype("float32")).`);
  }
  const values = new (size === "4" ? Float32Array : Float64Array)(bytes.slice(header.length));
  return Array.from(values, (value) => (size === "4" ? Number(value.toPrecision(9)) : value));
};

const asked = () => {
  const said = { head: `${root.dataset.name}@${form.head.value}` };
  if (form.text) said.texts = [form.text.value];
  else {
    const parts = form.vector.value.match(/[^\s,;[\]]+/g) ?? [], wrong = parts.findIndex((part) => !Number.isFinite(Number(part)));
    if (wrong >= 0) throw new Error(`Number ${wrong + 1} cannot be read: ${parts[wrong].slice(0, 40)}. Write numbers such as 0.12, separated by commas or spaces.`);
    said.embeddings = [parts.map(Number)];
  }
  if (form.below.value) said.abstain_below = Number(form.below.value);
  return { ...said, top_k: Number(root.dataset.shown), conformal_level: Number(form.level.value), ood: true };
};

/** The same request in a shell and in Python. */
const tell = (said) => {
  const url = new URL(root.dataset.try, location.href).href, { head, texts, embeddings, ...options } = said;
  const rows = texts ? `texts=${JSON.stringify(texts)}` : JSON.stringify(embeddings);
  const named = Object.entries(options).map(([name, value]) => `, ${name}=${value === true ? "True" : value}`).join("");
  find("[data-curl]").textContent = `curl -sS '${url}' -H 'content-type: application/json' -d '${JSON.stringify(said).replaceAll("'", "'\\''")}'`;
  find("[data-python]").textContent = `from nmtune_client import Client\n\nclient = Client("${url.replace(/\/predict$/, "")}")\nprint(client.predict("${head}", ${rows}${named}))`;
};

/** What the head says; what it has not learnt is said, and asked no more. */
const ask = async (said, lines = []) => {
  try {
    return [await send("POST", root.dataset.try, said), lines];
  } catch (error) {
    const field = error.errors?.[0]?.field;
    if (error.code !== "not_learnt" || !(field in said)) throw error;
    const { [field]: _, ...rest } = said;
    return ask(rest, [...lines, error.message]);
  }
};

const show = (told, lines) => {
  const { labels: [label], top_labels: [names], top_probabilities: [shares], sets, ood } = told, table = find("[data-answer] tbody");
  find("[data-answer] p").textContent = label === null ? `No label: no class has the probability asked for; ${names[0]} comes nearest.` : `${label}, with a probability of ${percent(shares[0])}.`;
  table.replaceChildren();
  names.forEach((name, at) => {
    const bar = document.createElement("meter");
    bar.value = shares[at];
    bar.ariaLabel = `Probability of ${name}`;
    addRow(table, name, bar, percent(shares[at]));
  });
  if (ood) lines.unshift(`OOD score ${ood.scores[0].toFixed(2)}, threshold ${ood.threshold.toFixed(2)}: ${ood.is_ood[0] ? "farther out than 95 % of rows like the training rows, so trust it less" : "like the training rows"}.`);
  if (sets) lines.unshift(`Set at ${percent(told.conformal_level)}: ${sets[0].join(", ") || "no class"}.`);
  lines.push(`Answered by version ${told.head.version}.`);
  find("[data-answer] ul").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  find("[data-answer]").hidden = false;
};

/** Do it; what goes wrong stands below the form. */
const attempt = async (act) => {
  form.querySelector(".problem")?.remove();
  try {
    await act();
  } catch (error) {
    complain(form, error);
  }
};
const take = ([file]) => file && attempt(async () => (form.vector.value = (await numbers(file)).join(", ")));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const said = asked();
    tell(said);
    show(...(await ask(said)));
  });
});
form.file?.addEventListener("change", () => take(form.file.files));
form.addEventListener("dragover", (event) => event.preventDefault());
form.addEventListener("drop", (event) => {
  event.preventDefault();
  if (form.vector) take(event.dataTransfer.files);
});
form.hidden = false;
