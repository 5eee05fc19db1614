/** Acting: a form with `data-send` sends its fields to the API as JSON; pages have no other way. */

/**
 * Ask the API. Resolves with the answer's JSON (null without any); rejects with what it said.
 * @param {string} method @param {string} path @param {unknown} [body] @param {object} [headers]
 */
export async function send(method, path, body, headers = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  return told(await fetch(path, { method, headers: { Accept: "application/json", ...type, ...headers }, ...sent }));
}

/** The JSON of an answer (null without any); throws the Problem that it tells. */
export async function told(answer) {
  const text = await answer.text();
  const json = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null;
  if (!answer.ok) throw new Problem(answer.status, json ?? {});
  return json;
}

/** A refusal, as application/problem+json says it. */
export class Problem extends Error {
  constructor(status, told) {
    super(told.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = told.code;
    this.errors = told.errors ?? [];
    this.requestId = told.request_id;
  }
}

/** Say below a form what went wrong, in the server's words, and mark the fields it names. */
export function complain(form, error) {
  const box = document.createElement("div");
  box.className = "problem";
  box.setAttribute("role", "alert");
  const lines = [error.message, ...(error.errors ?? []).map((one) => `${one.field}: ${one.message}`)];
  if (error.requestId) lines.push(`Request id: ${error.requestId}`);
  for (const line of new Set(lines)) {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    box.append(paragraph);
  }
  form.querySelector(".problem")?.remove();
  form.append(box);
}

/** A form's fields for the API: `a.b` is b within a; data-type is number, json, or list for ticks. */
const fields = (form) => {
  const values = {};
  for (const field of form.elements) {
    const isTick = field.type === "checkbox" || field.type === "radio";
    const { type } = field.dataset;
    if (!field.name || field.disabled || (isTick && !field.checked)) continue;
    let value = field.type === "checkbox" && !type ? true : field.value;
    if (value === "") continue;
    if (type === "number" || type === "json") value = JSON.parse(value);
    const path = field.name.split(".");
    const last = path.pop();
    const into = path.reduce((within, name) => (within[name] ??= {}), values);
    into[last] = type === "list" ? [...(into[last] ?? []), value] : value;
  }
  return values;
};

/** Put values in their places in an address, such as `aliases/{alias}`, and take them out. */
const filled = (address, values) =>
  address.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    delete values[name];
    return encodeURIComponent(value);
  });

/** Buttons that act are off until this module is there. */
export function enable(within) {
  for (const button of within.querySelectorAll("[data-send] button[disabled], button[data-send][disabled]")) button.disabled = false;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const button = event.submitter;
  const act = button?.dataset.send ? button : form;
  const { send: method, confirm: question, body: kind } = act.dataset;
  if (!method) return;
  event.preventDefault();
  if (question && !confirm(question)) return;
  if (button) button.disabled = true;
  try {
    const values = fields(form);
    const path = filled(button?.getAttribute("formaction") ?? form.getAttribute("action"), values);
    const answer = await send(method, path, method === "DELETE" || kind === "none" ? undefined : values);
    if (form.dataset.then) location.assign(filled(form.dataset.then, answer ?? {}));
    else location.reload();
  } catch (error) {
    complain(form, error);
    if (button) button.disabled = false;
  }
});
enable(document);
