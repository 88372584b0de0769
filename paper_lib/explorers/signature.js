// Draws the signature of the chosen size and step into the table of the explorer that this script stands in.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const slider = figure.querySelector('input[type="range"]');
  const output = figure.querySelector("output");
  const table = figure.querySelector("table");

  const element = (tag, text, attributes = {}) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.textContent = text;
    return made;
  };

  const row = (cells) => {
    const made = document.createElement("tr");
    made.append(...cells);
    return made;
  };

  const cell = (value) => {
    const made = element("td", value.toFixed(2));
    const level = (value - data.low) / (1 - data.low);
    made.style.background = data.colours[Math.round(20 * level)];
    made.style.color = level < 0.425 ? "#fff" : "#000"; // each has a contrast of 4.5 there
    return made;
  };

  const draw = () => {
    const { steps, values } = data.sizes[figure.querySelector('input[type="radio"]:checked').value];
    slider.max = steps.length - 1;
    const place = Number(slider.value);
    output.textContent = `step ${steps[place]}`;
    slider.setAttribute("aria-valuetext", output.textContent);
    const layers = values[place][0].map((_, layer) => element("th", layer + 1, { scope: "col" }));
    table.tHead.replaceChildren(row([element("th", "layer", { scope: "col" }), ...layers]));
    table.tBodies[0].replaceChildren(
      ...values[place].map((of_matrix, index) =>
        row([element("th", data.matrices[index], { scope: "row" }), ...of_matrix.map(cell)]),
      ),
    );
  };

  figure.querySelectorAll("input").forEach((input) => input.addEventListener("input", draw));
  draw();
})();
