/** Read the values of a line plot: by pointer over it, or by the slider's arrow keys below it. */
const SVG = "http://www.w3.org/2000/svg";

for (const data of document.querySelectorAll('.plot + script[type="application/json"]')) {
  const chart = data.previousElementSibling.querySelector("svg");
  const { x, at, label, series } = JSON.parse(data.textContent);
  const cross = document.createElementNS(SVG, "line");
  cross.setAttribute("class", "cross");
  cross.setAttribute("y1", "36");
  cross.setAttribute("y2", "262");
  const box = document.createElement("p");
  const slider = document.createElement("input");
  const output = document.createElement("output");
  box.className = "readout";
  Object.assign(slider, { type: "range", min: 0, max: x.length - 1, value: Math.round(x.length / 2) });
  slider.setAttribute("aria-label", `Read the values by ${label}`);
  box.append(slider, output);
  data.after(box);

  const show = () => {
    const place = Number(slider.value);
    const values = series
      .filter(({ v }) => place < v.length)
      .map(({ name, v, unit }) => `${name} ${v[place]}\u00a0${unit}`);
    output.textContent = `${label} ${at[place]}: ${values.join(", ")}`;
    slider.setAttribute("aria-valuetext", output.textContent);
    cross.setAttribute("x1", x[place]);
    cross.setAttribute("x2", x[place]);
    if (!cross.isConnected) chart.append(cross);
  };
  slider.addEventListener("input", show);
  chart.addEventListener("pointermove", (event) => {
    const { left, width } = chart.getBoundingClientRect();
    const here = ((event.clientX - left) / width) * chart.viewBox.baseVal.width;
    let best = 0;
    x.forEach((one, place) => {
      if (Math.abs(one - here) < Math.abs(x[best] - here)) best = place;
    });
    slider.value = best;
    show();
  });
  show();
}
