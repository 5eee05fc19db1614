/** Single keys: search, rows, the list of keys; off for whoever has said so. */
const OFF = "nmtune.keys-off";
const dialog = document.getElementById("keys");
const off = document.getElementById("keys-off");

const opener = document.createElement("button");
opener.type = "button";
opener.className = "keys";
opener.textContent = "Keys";
opener.addEventListener("click", () => dialog.showModal());
document.querySelector(".site").append(opener);

off.checked = localStorage.getItem(OFF) === "1";
off.addEventListener("change", () => localStorage.setItem(OFF, off.checked ? "1" : "0"));

/** Whether single keys are for the page now: not in a field, not in the list of keys, not off. */
export const isFree = (event) =>
  !off.checked && !dialog.open && !event.ctrlKey && !event.metaKey && !event.altKey &&
  !event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), select, textarea");

const step = (by) => {
  const links = [...document.querySelectorAll(".rows tbody tr:not([hidden]) th a")];
  const here = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, here < 0 ? 0 : here + by))]?.focus();
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || !isFree(event)) return;
  const acts = {
    "/": () => document.querySelector("input[type=search]")?.focus(),
    "?": () => dialog.showModal(),
    j: () => step(1),
    k: () => step(-1),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});
