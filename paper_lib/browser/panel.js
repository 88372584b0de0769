// Recognises what the reader chooses, records or brings, by the script that is loaded when the reader asks for it.
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const menus = Object.fromEntries([...figure.querySelectorAll("select")].map((menu) => [menu.dataset.key, menu]));
  const typing = figure.querySelector("form");
  const [sentence, sayIt] = typing.querySelectorAll("input, button");
  const [load, record] = ["load", "record"].map((name) => figure.querySelector(`[data-do="${name}"]`));
  const upload = figure.querySelector("input[type=file]");
  const status = figure.querySelector("[role=status]");
  const transcripts = figure.querySelector(".transcripts");
  const cards = [...figure.querySelectorAll(".utterance")];
  const ownCard = cards.at(-1);
  const names = Object.keys(data.models);

  let recogniser; // once it is loaded
  let synthesiser; // once a sentence was typed
  let own; // what the reader brought: { label, samples }, and what was `said` where that is known
  let turn = 0; // counts what was asked: an answer that comes late is not shown

  const model = () => names[menus.model.value];
  const sentences = () => data.models[model()].sentences;
  const texts = () => [...new Set(sentences().map(({ text }) => text))];
  const chosen = () =>
    sentences().findIndex(
      ({ text, voice }) => text === menus.sentence.value && voice === menus.voice.value,
    );
  const card = () => {
    const before = names.slice(0, names.indexOf(model())).reduce((sum, name) => sum + data.models[name].sentences.length, 0);
    return own ? ownCard : cards[before + chosen()];
  };

  const fill = (menu, labels) => {
    menu.replaceChildren(...labels.map((label) => new Option(label, label)));
  };
  const offerVoices = () => {
    fill(
      menus.voice,
      sentences()
        .filter(({ text }) => text === menus.sentence.value)
        .map(({ voice }) => voice),
    );
  };
  const offerSentences = () => {
    data.models[model()].voices.forEach(({ label }, place) => {
      menus.speaker[place] = new Option(label, place);
    });
    fill(menus.sentence, texts());
    offerVoices();
  };

  // Words that were said and not heard become <del>, heard and not said <ins>: as few as possible.
  const marked = (said, heard) => {
    const cost = Array.from({ length: said.length + 1 }, () => new Array(heard.length + 1).fill(0));
    for (let i = said.length; i >= 0; i--) {
      for (let j = heard.length; j >= 0; j--) {
        if (i === said.length || j === heard.length) cost[i][j] = said.length - i + heard.length - j;
        else if (said[i] === heard[j]) cost[i][j] = cost[i + 1][j + 1];
        else cost[i][j] = 1 + Math.min(cost[i + 1][j + 1], cost[i + 1][j], cost[i][j + 1]);
      }
    }
    const parts = [];
    const add = (tag, word) => {
      const part = tag ? document.createElement(tag) : document.createTextNode(word);
      if (tag) part.textContent = word;
      parts.push(part, " ");
    };
    let [i, j] = [0, 0];
    while (i < said.length || j < heard.length) {
      if (i < said.length && j < heard.length && said[i] === heard[j] && cost[i][j] === cost[i + 1][j + 1]) {
        add("", heard[j++]);
        i++;
      } else if (i < said.length && j < heard.length && cost[i][j] === 1 + cost[i + 1][j + 1]) {
        add("del", said[i++]);
        add("ins", heard[j++]);
      } else if (i < said.length && cost[i][j] === 1 + cost[i + 1][j]) add("del", said[i++]);
      else add("ins", heard[j++]);
    }
    return parts;
  };

  const row = (term, said, heard) => {
    const [div, dt, dd] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    dt.textContent = term;
    dd.append(...(said === undefined ? [heard] : marked(said.split(" ").filter(Boolean), heard.split(" ").filter(Boolean))));
    if (!heard) dd.append(Object.assign(document.createElement("em"), { textContent: "(nothing)" }));
    else if (said === heard) dd.append("(all words right)");
    dd.dataset.heard = heard;
    div.append(dt, dd);
    return div;
  };

  const tell = (text) => {
    status.textContent = text;
  };

  const show = () => {
    cards.forEach((each) => {
      each.hidden = each !== card();
      if (each.hidden) each.querySelector("audio").pause();
    });
    answer();
  };

  const answer = async () => {
    const mine = ++turn;
    transcripts.replaceChildren();
    if (!recogniser) {
      tell("Nothing is recognised before the recogniser is loaded.");
      return;
    }
    const { rate } = globalThis.recogniserData.features;
    const name = model();
    const layer = Number(menus.layer.value);
    const layers = menus.layer.selectedOptions[0].nextElementSibling
      ? [layer + 1]
      : Array.from({ length: layer }, (_, place) => place + 1);
    const samples = own ? own.samples : await samplesOf(await (await fetch(card().querySelector("audio").src)).arrayBuffer());
    const said = own ? own.said : sentences()[chosen()].text;
    const began = performance.now();
    const { intact, resets } = await recogniser.recognise(samples, name, data.kinds[menus.kind.value], layers);
    if (mine !== turn) return;
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    const rows = said === undefined ? [row("Intact", undefined, intact)] : [row("Said", undefined, said), row("Intact", said, intact)];
    rows.push(...resets.map((text, place) => row(`Layer ${layers[place]} reset`, said ?? intact, text)));
    transcripts.replaceChildren(...rows);
    const length = (samples.length / rate).toFixed(1);
    tell(`${own ? `${own.label}: ` : ""}${length} s of speech, recognised ${1 + resets.length} times in ${seconds}\u00a0s.`);
  };

  // Returns one channel of a sound file, at the rate that the models hear.
  const samplesOf = async (content) => {
    const { rate } = globalThis.recogniserData.features;
    const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
    return globalThis.Recogniser.mixed(
      Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel)),
    );
  };

  const take = async (blob, label) => {
    if (!recogniser) {
      tell("Load the recogniser first.");
      return;
    }
    try {
      const samples = globalThis.Recogniser.levelled(await samplesOf(await blob.arrayBuffer()));
      own = { label, samples };
    } catch (error) {
      tell(error instanceof RangeError ? `${label} ${error.message}` : `${label} is no sound that this browser reads.`);
      return;
    }
    play(blob);
  };

  // Shows what the reader brought, and recognises it.
  const play = (blob) => {
    const sound = ownCard.querySelector("audio");
    URL.revokeObjectURL(sound.src);
    sound.src = URL.createObjectURL(blob);
    sound.setAttribute("aria-label", own.label);
    show();
  };

  // Returns what is typed as the model writes it. Throws a RangeError for what it cannot write, or does not know.
  const plain = (typed) => {
    const { alphabet, longest, words } = data.models[model()];
    const spaced = typed.toLowerCase().replaceAll("’", "'").replace(/[-–—/]/g, " ");
    const text = spaced.replace(/[.,;:!?…"“”()]/g, "").split(/\s+/).filter(Boolean).join(" ");
    if (!text.replaceAll("'", "").trim()) throw new RangeError("There is nothing to say: type a sentence.");
    if (text.length > longest) throw new RangeError(`The sentence has ${text.length} characters; at most ${longest} can be spoken.`);
    const foreign = [...new Set(text)].filter((character) => !alphabet.includes(character)).sort();
    if (foreign.length) {
      const digits = foreign.some((character) => /\d/.test(character)) ? " (write numbers as words)" : "";
      throw new RangeError(`The models write English letters and the apostrophe, not ${foreign.join(" ")}${digits}.`);
    }
    const unknown = words ? [...new Set(text.split(" "))].filter((word) => !words.includes(word)) : [];
    if (unknown.length) throw new RangeError(`The model knows the words ${words.join(", ")}, not ${unknown.join(", ")}.`);
    return text;
  };

  const say = async (event) => {
    event.preventDefault();
    try {
      const text = plain(sentence.value);
      const { voices, words } = data.models[model()];
      const voice = voices[menus.speaker.value];
      sayIt.disabled = true;
      if (!synthesiser) {
        tell("Loading the synthesiser …");
        await scriptAt(data.synthesiser);
        synthesiser = await globalThis.Synthesiser.load();
        sayIt.textContent = "Say it";
      }
      const samples = await synthesiser.speak(text, voice, Boolean(words));
      own = { label: `“${text}”, ${voice.label}`, samples, said: text };
      play(globalThis.Synthesiser.file(samples));
    } catch (error) {
      tell(error instanceof RangeError ? error.message : `The synthesiser cannot be run on this page: ${error.message}`);
    }
    sayIt.disabled = false;
  };

  const scriptAt = (address) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error("it is not beside this page. It is part of the built book.")));
      document.head.append(script);
    });

  let recorder;
  const listen = async () => {
    if (recorder) {
      recorder.stop();
      return;
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      tell(`The browser gives this page no microphone (${error.name}). A recording from a file works, too.`);
      return;
    }
    const pieces = [];
    recorder = new MediaRecorder(stream, { audioBitsPerSecond: 128000 });
    const limit = setTimeout(() => recorder.stop(), 1000 * (globalThis.recogniserData?.speech.longest ?? 1));
    recorder.addEventListener("dataavailable", ({ data: piece }) => pieces.push(piece));
    recorder.addEventListener("stop", () => {
      clearTimeout(limit);
      stream.getTracks().forEach((track) => track.stop());
      const { mimeType } = recorder;
      recorder = undefined;
      record.textContent = "Speak yourself";
      record.setAttribute("aria-pressed", "false");
      take(new Blob(pieces, { type: mimeType }), "Your voice");
    });
    recorder.start();
    record.textContent = "Stop";
    record.setAttribute("aria-pressed", "true");
    tell("Listening. Say a few words, then press Stop.");
  };

  const fetchRecogniser = async () => {
    load.disabled = true;
    tell("Loading the recogniser …");
    try {
      await scriptAt(data.script);
      recogniser = await globalThis.Recogniser.load();
    } catch (error) {
      load.disabled = false;
      tell(`The recogniser cannot be run on this page: ${error.message}`);
      return;
    }
    menus.model.focus();
    load.parentElement.hidden = true;
    for (const control of controls) control.disabled = false;
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) {
      record.disabled = true;
      record.textContent = "No microphone on this page";
    }
    show();
  };

  load.addEventListener("click", fetchRecogniser);
  record.addEventListener("click", listen);
  upload.addEventListener("change", () => upload.files.length && take(upload.files[0], upload.files[0].name));
  const controls = [record, upload, sentence, sayIt];
  for (const control of controls) control.disabled = true;
  sayIt.textContent += ` (loads ${sayIt.dataset.size} once)`;
  typing.addEventListener("submit", say);
  for (const key of ["kind", "layer"]) menus[key].addEventListener("change", answer);
  menus.model.addEventListener("change", () => {
    offerSentences();
    show();
  });
  for (const key of ["sentence", "voice"]) {
    menus[key].addEventListener("change", () => {
      if (key === "sentence") offerVoices();
      own = undefined;
      show();
    });
  }
  menus.layer.value = data.layer;
  offerSentences();
  show();
})();
