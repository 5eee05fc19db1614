/** Follow what is live: ask for the page anew, and put its parts with `data-follow` in place. */
import { enable } from "./send.js";

export async function renew() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-follow]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.isEqualNode(part) || part.contains(document.activeElement)) continue;
    part.replaceWith(fresh);
    enable(fresh);
  }
}

const every = Number(document.querySelector("[data-every]")?.dataset.every);
if (every) {
  setInterval(() => {
    if (!document.hidden) renew().catch(() => {}); // away for a moment: the next time tells
  }, every * 1000);
}
