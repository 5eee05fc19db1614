/** One split for all figures: choosing it in one chooses it in the others. */
const radios = [...document.querySelectorAll(".tabs > input")];

document.addEventListener("change", ({ target }) => {
  if (target.type !== "radio" || !target.dataset.key) return;
  for (const radio of radios) {
    if (radio.dataset.key === target.dataset.key) radio.checked = true;
  }
});
