/** Add a row to a table; numbers stand at the right, names as their script is written. */
export const addRow = (body, ...values) => {
  const row = body.insertRow();
  for (const value of values) {
    const cell = row.insertCell(), inside = document.createElement("bdi");
    if (typeof value !== "number") cell.className = "t";
    inside.append(value ?? "–");
    cell.append(inside);
  }
  return row;
};
