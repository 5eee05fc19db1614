/** A button beside what is worth copying. */
for (const source of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue; // without TLS a browser has none
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  source.after(button);
}
