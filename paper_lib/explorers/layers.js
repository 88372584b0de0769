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
  // One scale for all models, so that their columns can be compared.
  const scale = Math.max(
    ...data.models.flatMap((one) => [one.intact[2], ...data.kinds.flatMap((kind) => one.effects[kind].map((e) => e.wer[2]))]),
  );
  let model;
  let layer;

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // Not every combination was trained: a menu offers what was, with what the other menus say.
  const choose = () => {
    model = data.models.find((one) => keys.every((key) => one[key] === chosen(key)));
    keys.forEach((key) => {
      [...menus[key].options].forEach((option, place) => {
        const wanted = (one) => keys.every((other) => one[other] === (other === key ? data.choices[key][place] : model[other]));
        option.disabled = !data.models.some(wanted);
      });
    });
    layer = Math.min(layer, model.signature.length - 1);
    draw();
  };

  // What the page has chosen, as far as a model of it was trained; else the layer of the last size that costs most.
  const follow = () => {
    const size = data.choices.size.includes(window.choices.get("size")) ? window.choices.get("size") : data.choices.size.at(-1);
    const fits = (one) => keys.filter((key) => one[key] === (window.choices.get(key) ?? (model ?? {})[key])).length;
    const start = data.models.filter((one) => one.size === size).reduce((best, one) => (fits(one) > fits(best) ? one : best));
    keys.forEach((key) => {
      menus[key].value = data.choices[key].indexOf(start[key]);
    });
    menus.kind.value = Math.max(0, data.kinds.indexOf(window.choices.get("reset")));
    const wers = start.effects[data.kinds[menus.kind.value]].map((effect) => effect.wer[0]);
    const wanted = Number(window.choices.get("layer"));
    layer = wanted >= 1 && wanted <= wers.length ? wanted - 1 : wers.indexOf(Math.max(...wers));
    choose();
  };

  const share = () => {
    const values = Object.fromEntries(keys.map((key) => [key, model[key]]));
    window.choices.set({ ...values, reset: data.kinds[menus.kind.value], layer: layer + 1 }, follow);
  };

  const column = (effect, place) => {
    const [value, low, high] = effect.wer;
    const input = element("input", { type: "radio", name: `${figure.id}-layer`, checked: place === layer });
    input.setAttribute("aria-label", `layer ${place + 1}: WER ${plain(value)} %, ${effect.class}`);
    input.addEventListener("change", () => {
      layer = place;
      detail();
      share();
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
    plot.replaceChildren(...effects.map(column));
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

  const changed = () => {
    choose();
    share();
  };
  Object.values(menus).forEach((menu) => menu.addEventListener("change", changed));
  window.choices.follow(follow);
  follow();
})();
