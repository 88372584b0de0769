// Shows one layer of one model of the explorer that this script stands in; radio buttons are the columns.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const menus = Object.fromEntries([...figure.querySelectorAll("select")].map((menu) => [menu.dataset.key, menu]));
  const plot = figure.querySelector(".plot");
  const part = (name) => figure.querySelector(`[data-part="${name}"]`);
  const keys = Object.keys(data.choices);
  const chosen = (key) => data.choices[key][menus[key].value];
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
  const interval = ([value, low, high], write) => `${write(value)} [${write(low)}, ${write(high)}]`;
  const plain = (value) => value.toFixed(1);
  let model;
  let layer = 0;

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // Not every combination was trained: `changed` holds, and the rest moves to the nearest model that was.
  const choose = (changed) => {
    const fits = (one) => keys.filter((key) => one[key] === chosen(key)).length;
    const candidates = data.models.filter((one) => !changed || one[changed] === chosen(changed));
    model = candidates.reduce((best, one) => (fits(one) > fits(best) ? one : best));
    keys.forEach((key) => {
      menus[key].value = data.choices[key].indexOf(model[key]);
    });
    layer = Math.min(layer, model.signature.length - 1);
    draw();
  };

  const column = (effect, place, scale) => {
    const [value, low, high] = effect.wer;
    const input = element("input", { type: "radio", name: `${figure.id}-layer`, checked: place === layer });
    input.setAttribute("aria-label", `layer ${place + 1}: WER ${plain(value)} %, ${effect.class}`);
    input.addEventListener("change", () => {
      layer = place;
      detail();
    });
    const bar = element("span", { className: `bar ${effect.class}` });
    bar.style.height = `${(100 * value) / scale}%`;
    const whisker = element("span", { className: "whisker" });
    whisker.style.bottom = `${(100 * low) / scale}%`;
    whisker.style.height = `${(100 * (high - low)) / scale}%`;
    const area = element("span", { className: "area" }, bar, whisker);
    return element("label", {}, element("span", { className: "value" }, plain(value)), area, input, `${place + 1}`);
  };

  const draw = () => {
    const effects = model.effects[data.kinds[menus.kind.value]];
    const scale = Math.max(...effects.map((effect) => effect.wer[2]), model.intact[2]) || 1;
    plot.replaceChildren(...effects.map((effect, place) => column(effect, place, scale)));
    plot.style.setProperty("--intact", model.intact[0] / scale);
    detail();
  };

  const row = (name, text, share, title = "") => {
    const bar = element("span", { className: share < 0 ? "bar less" : "bar" });
    bar.style.width = `${Math.min(100, 100 * Math.abs(share))}%`;
    const head = element("th", { scope: "row" }, name);
    return element("tr", { title }, head, element("td", { className: "number" }, text), element("td", {}, bar));
  };

  const detail = () => {
    const effect = model.effects[data.kinds[menus.kind.value]][layer];
    const facts = {
      Layer: `${layer + 1} of ${model.signature.length}, ${data.kinds[menus.kind.value]}`,
      WER: `${interval(effect.wer, plain)} %, intact ${interval(model.intact, plain)} %`,
      Change: `${interval(effect.change, signed)} points: ${effect.class}`,
    };
    figure.querySelector("dl").replaceChildren(
      ...Object.entries(facts).map(([name, fact]) => element("div", {}, element("dt", {}, name), element("dd", {}, fact))),
    );
    const modules = model.modules[layer];
    const largest = Math.max(...Object.values(modules).map(([change]) => Math.abs(change[0])), 1);
    part("modules").replaceChildren(
      ...data.modules.map((name) =>
        modules[name]
          ? row(name, `${interval(modules[name][0], signed)} ${modules[name][1]}`, modules[name][0][0] / largest)
          : row(name, "not measured", 0),
      ),
    );
    part("signature").replaceChildren(
      ...data.matrices.map((name, matrix) => row(name, model.signature[layer][matrix].toFixed(2), model.signature[layer][matrix])),
    );
  };

  keys.forEach((key) => menus[key].addEventListener("change", () => choose(key)));
  menus.kind.addEventListener("change", draw);
  choose();
})();
