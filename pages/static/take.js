/** Take a figure out of a report that is a file: an SVG of its own, in light colours. */
const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).map((rule) => rule.cssText);
const root = rules.find((rule) => rule.startsWith(":root")) ?? "";
const light = new Map([...root.matchAll(/(--[\w-]+):\s*(?:light-dark\(([^,]+),[^)]+\)|([^;]+))/g)].map(([, name, one, other]) => [name, one ?? other]));
const style = rules
  .filter((rule) => rule.startsWith(".chart"))
  .join("\n")
  .replace(/var\((--[\w-]+)\)/g, (found, name) => light.get(name) ?? found);

document.querySelectorAll(".plot > svg").forEach((chart, at) => {
  const link = document.createElement("a");
  const key = chart.closest("section").id;
  link.textContent = "SVG";
  link.download = `${key}-${at + 1}.svg`;
  link.href = "#" + key;
  link.addEventListener("click", () => {
    const copy = chart.cloneNode(true);
    const inside = document.createElementNS("http://www.w3.org/2000/svg", "style");
    copy.querySelector(".cross")?.remove();
    inside.textContent = style;
    copy.prepend(inside);
    const text = new XMLSerializer().serializeToString(copy);
    link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  });
  const line = document.createElement("p");
  line.className = "links";
  line.append(link);
  chart.parentElement.parentElement.append(line);
});
