/** Judge suspected labels one by one; the decisions stay in the tab until they are saved. */
import { addRow } from "./cells.js";
import { isFree } from "./keys.js";
import { complain, send } from "./send.js";

const root = document.querySelector("[data-review]");

const review = () => {
  const items = JSON.parse(root.querySelector("script").textContent);
  const find = (name) => root.querySelector(`[data-${name}]`);
  const put = (name, text) => (find(name).textContent = text ?? "");
  const { job, dataset, root: up } = root.dataset, place = `nmtune labels ${job}`;
  const kept = JSON.parse(sessionStorage.getItem(place)) ?? { of: {}, order: [] };
  const percent = (share) => (share == null ? "" : `${(100 * share).toFixed(1)}\u00a0%`);
  const key = ({ split, row }) => JSON.stringify({ split, row });
  const words = (one) => {
    const of = kept.of[key(one)];
    return !of ? "open" : of.drop ? "drop" : of.label == null ? "keep" : `→ ${of.label}`;
  };
  const rows = [...document.querySelectorAll("[data-row]")], form = find("save"), other = find("other");
  let at = Math.max(0, items.findIndex((one) => !kept.of[key(one)])), labels = [], saved;

  const go = (to) => {
    at = Math.min(items.length - 1, Math.max(0, to));
    const one = items[at], near = one.neighbours ?? [];
    put("at", `Row ${at + 1} of ${items.length}`);
    put("subject", one.text ?? one.id ?? `Row ${one.file_row ?? one.row} of ${one.split}; it has no text and no id.`);
    put("given", one.label);
    put("given-p", percent(one.label_probability));
    put("suggested", one.suggested);
    put("suggested-p", percent(one.suggested_probability));
    put("decision", `Decision: ${words(one)}`);
    find("neighbours").replaceChildren();
    for (const { label, text, id, file_row: file, row, similarity } of near) addRow(find("neighbours"), label, text ?? id ?? `row ${file ?? row}`, similarity);
    labels = [...new Set([one.suggested, one.label, ...near.map((row) => row.label), ...items.map((row) => row.label)])].slice(0, 9);
    find("labels").replaceChildren(...labels.map((label, number) => {
      const button = document.createElement("button"), hint = document.createElement("kbd"), name = document.createElement("bdi");
      hint.textContent = number + 1;
      name.textContent = label;
      button.append(hint, name);
      button.addEventListener("click", () => give(label));
      return button;
    }));
    for (const row of rows) {
      row.querySelector("button").textContent = words(items[row.dataset.row]);
      row.toggleAttribute("aria-current", Number(row.dataset.row) === at);
    }
    const made = Object.values(kept.of), count = (field) => made.filter((of) => of[field] != null).length;
    put("summary", `Decided: ${made.length}. Labels that change: ${count("label")}. Rows dropped: ${count("drop")}.`);
    form.querySelector(".main").disabled = !count("label") && !count("drop");
  };
  const store = (to) => {
    kept.sent = null; // another request than one that may have been sent
    sessionStorage.setItem(place, JSON.stringify(kept));
    go(to);
  };
  const decide = (of) => {
    const name = key(items[at]);
    kept.order.push([name, kept.of[name]]);
    kept.of[name] = of;
    store(at + 1);
  };
  const give = (label) => label && decide(label === items[at].label ? {} : { label });
  const undo = () => {
    const [name, before] = kept.order.pop() ?? [];
    if (before) kept.of[name] = before;
    else delete kept.of[name];
    const found = items.findIndex((one) => key(one) === name);
    store(found < 0 ? at : found);
  };
  const forget = () => {
    if (!confirm("Forget all decisions that are not saved?")) return;
    Object.assign(kept, { of: {}, order: [] });
    store(0);
  };
  const retrain = async () => {
    try {
      const { id } = await send("POST", `${up}jobs`, { ...JSON.parse(root.dataset.again), dataset_id: saved.id });
      find("next").href += id;
      find("started").hidden = false;
      root.querySelector("[data-do=retrain]").disabled = true;
    } catch (error) {
      complain(find("saved"), error);
    }
  };
  const ACTS = {
    k: () => decide({}), s: () => give(items[at].suggested), x: () => decide({ drop: true }), u: undo, j: () => go(at + 1), p: () => go(at - 1),
    other: () => give(other.value.trim()), forget, retrain,
  };
  const act = (name) => (name in ACTS ? ACTS[name]() : give(labels[name - 1]));

  document.addEventListener("keydown", (event) => event.key.length === 1 && isFree(event) && act(event.key));
  for (const button of root.querySelectorAll("[data-do]")) button.addEventListener("click", () => act(button.dataset.do));
  other.addEventListener("focus", async () => {
    const { classes } = await send("GET", `${up}datasets/${dataset}`);
    root.querySelector("datalist").replaceChildren(...classes.map((label) => new Option(label)));
  }, { once: true });
  other.addEventListener("keydown", (event) => event.key === "Enter" && act("other"));
  for (const row of rows) {
    const button = document.createElement("button");
    button.addEventListener("click", () => (go(Number(row.dataset.row)), find("card").focus()));
    row.lastElementChild.append(button);
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const made = Object.entries(kept.of).map(([name, of]) => ({ ...JSON.parse(name), ...of }));
    const body = { labels: made.filter((one) => one.label != null), drop: made.filter((one) => one.drop).map(({ split, row }) => ({ split, row })) };
    if (form.note.value) body.note = form.note.value;
    kept.sent ??= `${job}-${Date.now()}`;
    sessionStorage.setItem(place, JSON.stringify(kept));
    try {
      saved = await send("POST", `${up}datasets/${dataset}/corrections`, body, { "Idempotency-Key": kept.sent });
    } catch (error) {
      return complain(form, error);
    }
    sessionStorage.removeItem(place);
    put("made", `${saved.name}, ${saved.n_rows} rows`);
    for (const link of find("saved").querySelectorAll("[data-id]")) link.href += saved.id;
    find("saved").hidden = false;
    form.hidden = true;
    find("made").focus();
  });
  root.hidden = false;
  go(at);
};

if (root) review();
