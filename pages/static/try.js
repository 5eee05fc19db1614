/** Try a head: a text, a vector or an .npy file with one row; what it says, as bars and in words. */
import { complain, send } from "./send.js";

const root = document.querySelector("[data-try]");
const form = root.querySelector("form");
const answer = root.querySelector("[data-answer]");
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/** The numbers of an .npy file with one row of float32 or float64. */
const numbers = async (file) => {
  const bytes = await file.arrayBuffer(), view = new DataView(bytes);
  if (bytes.byteLength < 12 || view.getUint32(0) !== 0x934e554d) throw new Error(`${file.name} is not an .npy file. Write one with numpy.save("row.npy", embedding).`);
  const is_first = view.getUint8(6) === 1, start = is_first ? 10 : 12;
  const end = start + (is_first ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = new TextDecoder("latin1").decode(bytes.slice(start, end));
  const [, size] = /'descr': '<f([48])'/.exec(header) ?? [];
  if (!size) throw new Error(`${file.name} holds another type than little-endian float32 or float64: save it with embedding.astype("float32").`);
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").split(",").filter((one) => one.trim()).map(Number);
  if (shape.length > 2 || (shape.length === 2 && shape[0] !== 1) || !shape.length) throw new Error(`${file.name} has the shape (${shape.join(", ")}): one row is tried at a time, so save one, as in embeddings[0].`);
  const n = shape.at(-1);
  if (bytes.byteLength !== end + n * size) throw new Error(`${file.name} is cut off: it must hold ${n} numbers.`);
  const values = size === "4" ? new Float32Array(bytes.slice(end)) : new Float64Array(bytes.slice(end));
  return [...values].map((value) => (size === "4" ? Number(value.toPrecision(9)) : value));
};

const body = () => {
  const said = { head: `${root.dataset.name}@${form.head.value}` };
  if (form.text) said.texts = [form.text.value];
  else {
    const parts = form.vector.value.replace(/[[\]]/g, " ").split(/[\s,;]+/).filter(Boolean);
    const wrong = parts.findIndex((part) => !Number.isFinite(Number(part)));
    if (wrong >= 0) throw new Error(`Number ${wrong + 1} cannot be read: ${parts[wrong].slice(0, 40)}. Write numbers such as 0.12, separated by commas or spaces.`);
    said.embeddings = [parts.map(Number)];
  }
  said.top_k = Number(root.dataset.shown);
  if (form.below.value) said.abstain_below = Number(form.below.value);
  return { ...said, conformal_level: Number(form.level.value), ood: true };
};

const same = (said) => {
  const url = new URL(root.dataset.try, location.href).href, { head, texts, embeddings, ...options } = said;
  const put = (name, text) => (root.querySelector(`[data-${name}]`).textContent = text);
  put("curl", `curl -sS '${url}' -H 'content-type: application/json' -d '${JSON.stringify(said).replaceAll("'", "'\\''")}'`);
  const rows = texts ? `texts=${JSON.stringify(texts)}` : JSON.stringify(embeddings);
  const named = Object.entries(options).map(([name, value]) => `, ${name}=${value === true ? "True" : value}`).join("");
  put("python", `from nmtune_client import Client\n\nclient = Client("${url.replace(/\/predict$/, "")}")\nprint(client.predict("${head}", ${rows}${named}))`);
};

/** What the head says; what it has not learnt is asked no more, and said. */
const ask = async (said, missing = []) => {
  try {
    return [await send("POST", root.dataset.try, said), missing];
  } catch (error) {
    const field = error.code === "not_learnt" ? error.errors[0]?.field : null;
    if (!(field in said)) throw error;
    return ask({ ...said, [field]: undefined }, [...missing, error.message]);
  }
};

const show = (told, missing) => {
  const [label] = told.labels, names = told.top_labels[0], shares = told.top_probabilities[0];
  const lines = [...missing], table = answer.querySelector("tbody");
  answer.querySelector("p").textContent = label === null ? `It gives no label: no class has the probability asked for. The most probable is ${names[0]}.` : `${label}, with a probability of ${percent(shares[0])}.`;
  table.replaceChildren();
  names.forEach((name, at) => {
    const row = table.insertRow(), head = document.createElement("th"), words = document.createElement("bdi"), bar = document.createElement("meter");
    head.scope = "row";
    words.textContent = name;
    head.append(words);
    bar.value = shares[at];
    bar.setAttribute("aria-label", `Probability of ${name}`);
    row.append(head);
    row.insertCell().append(bar);
    row.insertCell().textContent = percent(shares[at]);
  });
  if (told.sets) lines.unshift(`With ${percent(told.conformal_level)} the class is one of ${told.sets[0].length}: ${told.sets[0].join(", ") || "none that it knows"}.`);
  if (told.ood) {
    const { scores: [score], threshold, is_ood: [is_ood] } = told.ood;
    lines.unshift(`OOD score ${score.toFixed(2)}, threshold ${threshold.toFixed(2)}: ${is_ood ? "farther from the training rows than 95 % of rows like them, so trust it less" : "like the training rows"}.`);
  }
  lines.push(`Answered by version ${told.head.version}.`);
  answer.querySelector("ul").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  answer.hidden = false;
};

const take = async (file) => {
  try {
    form.vector.value = (await numbers(file)).join(", ");
    form.querySelector(".problem")?.remove();
  } catch (error) {
    complain(form, error);
  }
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelector(".problem")?.remove();
  event.submitter.disabled = true;
  try {
    const said = body();
    same(said);
    show(...(await ask(said)));
  } catch (error) {
    complain(form, error);
  }
  event.submitter.disabled = false;
});
if (form.vector) {
  form.file.addEventListener("change", () => form.file.files[0] && take(form.file.files[0]));
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}
form.hidden = false;
