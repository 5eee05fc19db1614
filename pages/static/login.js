/** Sign in by the link that the server printed: its code stands after the #, which no log sees. */
import { complain, send } from "./send.js";

const form = document.querySelector("form[data-login]");
const warning = document.querySelector("[data-insecure]");
const code = location.hash.slice(1);
if (warning && !isSecureContext) warning.hidden = false;
if (form && code) {
  history.replaceState(null, "", location.pathname + location.search);
  send("POST", form.action, { code }).then(
    () => location.assign(form.dataset.then),
    (error) => complain(form, error),
  );
}
