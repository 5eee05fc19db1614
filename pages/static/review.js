/** Judge suspected labels one by one; the decisions stay in the tab until they are saved. */
import { complain, send } from "./send.js";

const root = document.querySelector("[data-review]");

const review = () => {
  const items = JSON.parse(root.querySelector("script").textContent);
  const find = (name) => root.querySelector(`[data-${name}]`);
  const put = (name, text) => (find(name).textContent = text ?? "");
  const { job, dataset, root: up } = root.dataset, place = `nmtune labels ${job}`;
  const kept = JSON.parse(sessionStorage.getItem(place)) ?? { decisions: {}, order: [] };
  const percent = (share) => (share == null ? "" : `${(100 * share).toFixed(1)}\u00a0%`);
  const key = (one) => `${one.split} ${one.row}`;
  const decision = (one) => kept.decisions[key(one)];
  const words = (of) => (!of ? "open" : of.drop ? "drop" : of.keep ? "keep" : `→ ${of.label}`);
  const rows = [...document.querySelectorAll("[data-row]")];
  const form = find("save"), other = find("other");
  let at = Math.max(0, items.findIndex((one) => !decision(one))), labels = [], saved = null;

  const keep = () => sessionStorage.setItem(place, JSON.stringify(kept));
  const show = () => {
    const one = items[at], near = one.neighbours ?? [];
    put("at", `Row ${at + 1} of ${items.length}`);
    put("subject", one.text ?? one.id ?? `Row ${one.file_row ?? one.row} of ${one.split}; it has no text and no id.`);
    put("given", one.label);
    put("given-p", percent(one.label_probability));
    put("suggested", one.predicted);
    put("suggested-p", percent(one.predicted_probability));
    put("decision", `Decision: ${words(decision(one))}`);
    find("neighbours").replaceChildren();
    for (const { label, text, id, file_row: file, row, similarity } of near) {
      const line = find("neighbours").insertRow();
      for (const [value, kind] of [[label, "bdi"], [text ?? id ?? `row ${file ?? row}`, "bdi"], [similarity?.toFixed(3) ?? "–", "span"]]) {
        const cell = line.insertCell(), inside = document.createElement(kind);
        cell.className = kind === "bdi" ? "t" : "";
        inside.textContent = value;
        cell.append(inside);
      }
    }
    labels = [...new Set([one.predicted, one.label, ...near.map((row) => row.label), ...items.flatMap((row) => [row.label, row.predicted])])].slice(0, 9);
    find("labels").replaceChildren(...labels.map((label, number) => {
      const button = document.createElement("button"), hint = document.createElement("kbd"), name = document.createElement("bdi");
      button.type = "button";
      hint.textContent = number + 1;
      name.textContent = label;
      button.append(hint, " ", name);
      button.addEventListener("click", () => act(String(number + 1)));
      return button;
    }));
    for (const row of rows) {
      row.querySelector("button").textContent = words(decision(items[row.dataset.row]));
      row.toggleAttribute("aria-current", Number(row.dataset.row) === at);
    }
    const made = Object.values(kept.decisions), changed = made.filter((of) => of.label != null).length, dropped = made.filter((of) => of.drop).length;
    put("summary", `${made.length} decided: ${changed} labels change, ${dropped} rows are dropped.`);
    form.querySelector(".main").disabled = !changed && !dropped;
  };
  const go = (to) => ((at = Math.min(items.length - 1, Math.max(0, to))), show());
  const decide = (of) => {
    const name = key(items[at]);
    kept.order.push([name, kept.decisions[name] ?? null]);
    kept.decisions[name] = of;
    kept.sent = null; // another request than the one that may have been sent
    keep();
    go(at + 1);
  };
  const give = (label) => label && decide(label === items[at].label ? { keep: true } : { label });
  const undo = () => {
    const [name, before] = kept.order.pop() ?? [];
    if (!name) return;
    if (before) kept.decisions[name] = before;
    else delete kept.decisions[name];
    kept.sent = null;
    keep();
    const of_name = items.findIndex((one) => key(one) === name);
    go(of_name < 0 ? at : of_name);
  };
  const forget = () => {
    if (!confirm("Forget all decisions that are not saved?")) return;
    Object.assign(kept, { decisions: {}, order: [], sent: null });
    keep();
    go(0);
  };
  const retrain = async () => {
    const button = root.querySelector("[data-do=retrain]");
    button.disabled = true;
    try {
      const made = await send("POST", `${up}jobs`, { ...JSON.parse(root.dataset.again), dataset_id: saved.id });
      find("next").href += made.id;
      find("started").hidden = false;
    } catch (error) {
      complain(find("saved"), error);
      button.disabled = false;
    }
  };
  const ACTS = {
    k: () => decide({ keep: true }), s: () => give(items[at].predicted), x: () => decide({ drop: true }), u: undo, j: () => go(at + 1), p: () => go(at - 1),
    "?": () => find("keys").toggleAttribute("open"), other: () => (give(other.value.trim()), (other.value = "")), forget, retrain,
  };
  const act = (name) => (/^[1-9]$/.test(name) ? give(labels[name - 1]) : ACTS[name]?.());

  find("single").checked = localStorage.getItem("nmtune single keys") !== "off";
  find("single").addEventListener("change", ({ target }) => localStorage.setItem("nmtune single keys", target.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    const is_typing = event.target.closest("textarea, select, input:not([type=checkbox])");
    if (!find("single").checked || is_typing || event.ctrlKey || event.metaKey || event.altKey || event.key.length > 1) return;
    act(event.key);
  });
  for (const button of root.querySelectorAll("[data-do]")) button.addEventListener("click", () => act(button.dataset.do));
  other.addEventListener("focus", async () => {
    const { classes } = await send("GET", `${up}datasets/${dataset}`);
    root.querySelector("datalist").replaceChildren(...classes.map((label) => Object.assign(document.createElement("option"), { value: label })));
  }, { once: true });
  other.addEventListener("keydown", (event) => event.key === "Enter" && act("other"));
  for (const row of rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => (go(Number(row.dataset.row)), find("card").focus()));
    row.cells[row.cells.length - 1].append(button);
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { labels: [], drop: [], note: form.note.value || undefined };
    for (const [name, of] of Object.entries(kept.decisions)) {
      const cut = name.lastIndexOf(" "), row = { split: name.slice(0, cut), row: Number(name.slice(cut + 1)) };
      if (of.drop) body.drop.push(row);
      else if (of.label != null) body.labels.push({ ...row, label: of.label });
    }
    kept.sent ??= [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    keep();
    try {
      saved = await send("POST", `${up}datasets/${dataset}/corrections`, body, { "Idempotency-Key": kept.sent });
    } catch (error) {
      return complain(form, error);
    }
    sessionStorage.removeItem(place);
    find("made").textContent = `${saved.name}, ${saved.n_rows.toLocaleString("en")} rows`;
    find("made").href += saved.id;
    find("saved").hidden = false;
    form.hidden = true;
    root.querySelector("[data-do=retrain]").focus();
  });
  root.hidden = false;
  show();
};

if (root) review();
