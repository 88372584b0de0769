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

  Object.values(menus).forEach((menu) => menu.addEventListener("change", draw));
  draw();
})();
