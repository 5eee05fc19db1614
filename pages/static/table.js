/** Sort a table by a click on a heading; search long ones. */
const LONG = 12;

const value = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = Number(text.replace(/[,\s\u00a0%]/g, "").replace("\u2212", "-"));
  return text === "" || Number.isNaN(number) ? text : number;
};

const compare = (a, b) =>
  typeof a === "number" && typeof b === "number"
    ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true });

for (const table of document.querySelectorAll("table.data")) {
  const body = table.tBodies[0];
  const headings = [...(table.tHead?.rows[0].cells ?? [])];
  if (!table.tHead || body.rows.length < 3) continue;
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const isUp = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", isUp ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      rows.sort(([a], [b]) => (isUp ? compare(b, a) : compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
  if (body.rows.length <= LONG) continue;
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search";
  search.setAttribute("aria-label", `Search: ${table.caption.textContent}`);
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.parentElement.before(search);
}
