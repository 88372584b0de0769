// Shows the transcripts of one utterance by the model that the menus of the explorer that this script stands in name.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const menus = Object.fromEntries([...figure.querySelectorAll("select")].map((menu) => [menu.dataset.key, menu]));
  const cards = [...figure.querySelectorAll(".utterance")];
  const fact = (name) => figure.querySelector(`[data-fact="${name}"]`);

  // The marks are HTML that was escaped where the page was made. Without words there is nothing to see, so it is said.
  const tell = (name, text) => {
    fact(name).innerHTML = text || "<em>nothing</em>";
    const errors = fact(name).querySelectorAll("del, ins").length;
    fact(name).append(errors ? "" : " (all words right)");
  };

  const errors = (text) => (text.match(/<(del|ins)>/g) ?? []).length;
  const heardOf = (size, kind, layer) => data.models[size].resets[kind][layer];

  // What the page has chosen; else the last size, and the layer whose reset costs most words of the sentences here.
  const follow = () => {
    const size = data.sizes.indexOf(window.choices.get("size"));
    menus.size.value = size < 0 ? data.sizes.length - 1 : size;
    menus.kind.value = Math.max(0, data.kinds.indexOf(window.choices.get("reset")));
    const resets = data.models[menus.size.value].resets[menus.kind.value];
    const wrong = resets.map((texts) => texts.reduce((sum, text) => sum + errors(text), 0));
    const wanted = Number(window.choices.get("layer"));
    menus.layer.value = wanted >= 1 && wanted <= resets.length ? wanted - 1 : wrong.indexOf(Math.max(...wrong));
    draw();
  };

  // The sentence that the page opens with is the one that breaks most.
  const begin = () => {
    follow();
    const wrong = heardOf(menus.size.value, menus.kind.value, menus.layer.value).map(errors);
    menus.utterance.value = wrong.indexOf(Math.max(...wrong));
    draw();
  };

  const draw = () => {
    const utterance = Number(menus.utterance.value);
    const model = data.models[menus.size.value];
    const resets = model.resets[menus.kind.value];
    [...menus.layer.options].forEach((option, layer) => {
      option.disabled = layer >= resets.length;
    });
    if (menus.layer.selectedOptions[0].disabled) {
      menus.layer.value = resets.length - 1;
    }
    cards.forEach((card, place) => {
      card.hidden = place !== utterance;
      if (card.hidden) card.querySelector("audio").pause();
    });
    fact("said").textContent = menus.utterance.selectedOptions[0].textContent;
    tell("intact", model.intact[utterance]);
    tell("reset", resets[menus.layer.value][utterance]);
  };

  const changed = () => {
    draw();
    const values = { size: data.sizes[menus.size.value], reset: data.kinds[menus.kind.value] };
    window.choices.set({ ...values, layer: Number(menus.layer.value) + 1 }, follow);
  };
  Object.values(menus).forEach((menu) => menu.addEventListener("change", changed));
  window.choices.follow(follow);
  begin();
})();
