// Tells what a client saves by what the explorer that this script stands in is set to: what each layer drops, its bits,
// and whether it is trained.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const sliders = [...figure.querySelectorAll('input[type="range"]')];
  const menus = [...figure.querySelectorAll(".layers select")];
  const boxes = [...figure.querySelectorAll('input[type="checkbox"]')];
  const fact = (name) => figure.querySelector(`[data-fact="${name}"]`);
  const share = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;

  // A measured model may have fewer layers: each of ours is compared with the one at its relative depth.
  const distance = (rates, measured) =>
    mean(rates.map((rate, layer) => Math.abs(rate - measured[Math.floor(((layer + 0.5) * measured.length) / rates.length)])));

  const draw = () => {
    const rates = sliders.map((slider) => Number(slider.value));
    sliders.forEach((slider, layer) => {
      slider.parentElement.querySelector(".rate").textContent = rates[layer];
    });
    const units = rates.map((rate) => Math.round((rate * data.hidden) / 100));
    const bits = menus.map((menu) => menu.value);
    const trained = boxes.map((box) => box.checked);
    const whole = trained.every(Boolean);
    const lowest = trained.indexOf(true);
    const states = trained.map((of, layer) => (of ? "trained" : layer > lowest ? "frozen" : "below"));
    // A unit of a layer is one in each of its two modules.
    const bytes = units.map((count, layer) => data.bytes.layer[bits[layer]] - count * data.bytes.unit[bits[layer]]);
    const down = data.bytes.rest + sum(bytes);
    const up = whole ? down : sum(bytes.filter((_, layer) => trained[layer]));
    const all = data.bytes.rest + data.layers * data.bytes.layer[32];
    const step = ({ all, some, layer, unit }) =>
      (whole ? all : some) - sum(states.map((state, place) => layer[state] + units[place] * unit[state]));
    const dropped = sum(units) * data.parametersPerUnit;
    const saved = (part, of) => `(${share(of - part, of)} saved)`;
    const flops = step(data.steps.flops);
    const memory = step(data.steps.memory);
    fact("dropped").textContent =
      `${dropped.toLocaleString("en")} of ${data.parameters.toLocaleString("en")} (${share(dropped, data.parameters)})`;
    fact("down").textContent = `${(down / 1e6).toFixed(1)} MB ${saved(down, all)}`;
    fact("up").textContent = `${(up / 1e6).toFixed(1)} MB ${saved(up, all)}`;
    fact("flops").textContent = `${(flops / 1e9).toFixed(1)} GFLOP ${saved(flops, data.steps.flops.all)}`;
    fact("memory").textContent = `${(memory / 1e6).toFixed(1)} MB ${saved(memory, data.steps.memory.all)}`;
    const plain = whole && bits.every((count) => count === "32");
    const nearest = data.measured
      .map((plan) => ({ ...plan, away: distance(rates, plan.rates) }))
      .sort((one, other) => one.away - other.away)
      .slice(0, 3)
      .map(({ name, wer, away }) => {
        const [value, low, high] = wer.map((number) => number.toFixed(1));
        return `${name}: ${value} [${low}, ${high}] % (${away.toFixed(0)} points away)`;
      });
    fact("nearest").textContent = plain ? nearest.join("; ") || "none" : "none: these are plans that drop alone";
  };

  [...sliders, ...menus].forEach((control) => control.addEventListener("input", draw));
  boxes.forEach((box) =>
    box.addEventListener("input", () => {
      box.checked ||= !boxes.some(({ checked }) => checked); // some layer is trained
      draw();
    }),
  );
  figure.querySelectorAll("button").forEach((button) =>
    button.addEventListener("click", () => {
      sliders.forEach((slider) => {
        slider.value = button.dataset.rate;
      });
      draw();
    }),
  );
  draw();
})();
