// Tells what a client saves by the rates that the sliders of the explorer that this script stands in are set to.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const sliders = [...figure.querySelectorAll('input[type="range"]')];
  const fact = (name) => figure.querySelector(`[data-fact="${name}"]`);
  const share = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // A measured model may have fewer layers: each of ours is compared with the one at its relative depth.
  const distance = (rates, measured) =>
    mean(rates.map((rate, layer) => Math.abs(rate - measured[Math.floor(((layer + 0.5) * measured.length) / rates.length)])));

  const draw = () => {
    const rates = sliders.map((slider) => Number(slider.value));
    sliders.forEach((slider, layer) => {
      slider.parentElement.querySelector(".rate").textContent = rates[layer];
    });
    const units = rates.reduce((sum, rate) => sum + Math.round((rate * data.hidden) / 100), 0);
    const dropped = units * data.parametersPerUnit;
    const saved = units * data.flopsPerUnit;
    const left = data.parameters - dropped;
    fact("dropped").textContent =
      `${dropped.toLocaleString("en")} of ${data.parameters.toLocaleString("en")} (${share(dropped, data.parameters)})`;
    fact("bytes").textContent =
      `${((data.bytes * left) / 1e6).toFixed(1)} MB (${share(dropped, data.parameters)} saved)`;
    fact("flops").textContent = `${((data.flops - saved) / 1e9).toFixed(1)} GFLOP (${share(saved, data.flops)} saved)`;
    const nearest = data.measured
      .map((plan) => ({ ...plan, away: distance(rates, plan.rates) }))
      .sort((one, other) => one.away - other.away)
      .slice(0, 3)
      .map(({ name, wer, away }) => {
        const [value, low, high] = wer.map((number) => number.toFixed(1));
        return `${name}: ${value} [${low}, ${high}] % (${away.toFixed(0)} points away)`;
      });
    fact("nearest").textContent = nearest.join("; ") || "none";
  };

  sliders.forEach((slider) => slider.addEventListener("input", draw));
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
