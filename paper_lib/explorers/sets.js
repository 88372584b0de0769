// Shows what layers do together in the explorer that this script stands in: menus choose them, and cells of the map.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const menus = Object.fromEntries([...figure.querySelectorAll("select")].map((menu) => [menu.dataset.key, menu]));
  const map = figure.querySelector("table.heat");
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
  const interval = ([value, low, high]) => `${signed(value)} [${signed(low)}, ${signed(high)}]`;
  const layers = data.models[0].singles.length;
  const place = (key) => Number(menus[key].value);

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const allow = (key, allowed) => {
    [...menus[key].options].forEach((option) => {
      option.disabled = !allowed(Number(option.value));
    });
  };

  // Layers from 1, in order. A layer has no pair with itself, and the last two begin no three: no menu offers them.
  const chosen = () => {
    if (place("count") === 1) {
      menus.first.value = Math.min(place("first"), layers - 3);
      allow("first", (layer) => layer <= layers - 3);
      return [1, 2, 3].map((offset) => place("first") + offset);
    }
    if (place("first") === place("second")) {
      menus.second.value = place("first") + 1;
    }
    allow("first", (layer) => layer !== place("second"));
    allow("second", (layer) => layer !== place("first"));
    return [place("first") + 1, place("second") + 1].sort((one, other) => one - other);
  };

  const bar = (name, change, largest) => {
    const drawn = element("span", { className: change[0] < 0 ? "bar less" : "bar" });
    drawn.style.width = `${(100 * Math.abs(change[0])) / largest}%`;
    const head = element("th", { scope: "row" }, name);
    return element("tr", {}, head, element("td", { className: "number" }, interval(change)), element("td", {}, drawn));
  };

  const cell = (one, other, sets, names) => {
    const set = sets[`${one}-${other}`];
    if (!set) {
      return element("td");
    }
    const made = element("td", { title: `layers ${one} and ${other}` }, `${Math.round(set.change[0])}`.replace("-", "−"));
    made.style.background = data.colours[set.level];
    made.style.color = set.level < 10 ? "#fff" : "#000"; // each has a contrast of 4.5 there
    made.classList.toggle("chosen", names.includes(one) && names.includes(other));
    made.addEventListener("click", () => {
      [menus.count.value, menus.first.value, menus.second.value] = [0, one - 1, other - 1];
      draw();
    });
    return made;
  };

  const draw = () => {
    const { singles, sets } = data.models[place("model")];
    const names = chosen();
    const set = sets[names.join("-")];
    menus.second.disabled = names.length > 2;
    const bars = [
      ...names.map((layer) => [`layer ${layer} alone`, singles[layer - 1]]),
      ["their sum", set.parts],
      ["together", set.change],
    ];
    const largest = Math.max(...bars.map(([, change]) => Math.abs(change[0]))) || 1;
    figure.querySelector('[data-part="bars"]').replaceChildren(...bars.map(([name, of]) => bar(name, of, largest)));
    const facts = {
      Reset: `layers ${names.join(", ")}`,
      Together: `${interval(set.change)} points: ${set.class}`,
      "Beyond the sum": `${interval(set.beyond)} points: ${set.told}`,
    };
    figure.querySelector("dl").replaceChildren(
      ...Object.entries(facts).map(([name, fact]) => element("div", {}, element("dt", {}, name), element("dd", {}, fact))),
    );
    const numbers = singles.map((_, layer) => layer + 1);
    const heads = numbers.map((layer) => element("th", { scope: "col" }, `${layer}`));
    map.tHead.replaceChildren(element("tr", {}, element("th", { scope: "col" }, "layer"), ...heads));
    map.tBodies[0].replaceChildren(
      ...numbers.map((one) =>
        element("tr", {}, element("th", { scope: "row" }, `${one}`), ...numbers.map((other) => cell(one, other, sets, names))),
      ),
    );
  };

  Object.values(menus).forEach((menu) => menu.addEventListener("change", draw));
  menus.second.value = 1;
  draw();
})();
