/** Acting: a form with `data-send` sends its fields to the API as JSON; pages have no other way. */

/**
 * Ask the API. Resolves with the answer's JSON (null without any); rejects with what it said.
 * @param {string} method @param {string} path @param {unknown} [body] @param {object} [headers]
 */
export async function send(method, path, body, headers = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers: { Accept: "application/json", ...type, ...headers }, ...sent });
  const text = await answer.text();
  const told = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null;
  if (!answer.ok) throw new Problem(answer.status, told ?? {});
  return told;
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

const fields = (form) => {
  const values = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    const value = field.type === "checkbox" ? field.checked : field.value;
    if (value !== "") values[field.name] = field.dataset.type === "number" ? Number(value) : value;
  }
  return values;
};

for (const form of document.querySelectorAll("form[data-send]")) {
  for (const button of form.querySelectorAll("button[disabled]")) button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) return;
    const button = event.submitter;
    if (button) button.disabled = true;
    try {
      const body = form.dataset.send === "DELETE" || form.dataset.body === "none" ? undefined : fields(form);
      await send(form.dataset.send, form.action, body);
      if (form.dataset.then) location.assign(form.dataset.then);
      else location.reload();
    } catch (error) {
      complain(form, error);
      if (button) button.disabled = false;
    }
  });
}
