// Recognises speech by the ONNX graphs of paper_lib/browser/graphs.py. Reads globalThis.recogniserData.
globalThis.Recogniser = (() => {
  const embedded = (base64) => fetch(`data:application/octet-stream;base64,${base64}`);

  return class Recogniser {
    static MOST_LABELS = 5; // of one frame, as in paper_lib/conformer/decoding.py

    // Starts the runtime: one thread, everything from memory.
    static async load() {
      const data = globalThis.recogniserData;
      const { wasm } = ort.env;
      wasm.numThreads = 1;
      const unzipped = (await embedded(data.wasm)).body.pipeThrough(new DecompressionStream("gzip"));
      wasm.wasmBinary = await new Response(unzipped).arrayBuffer();
      const glue = URL.createObjectURL(new Blob([data.glue], { type: "text/javascript" }));
      wasm.wasmPaths = { mjs: glue };
      const recogniser = new Recogniser();
      recogniser.weights = new Float32Array(await (await embedded(data.weights)).arrayBuffer());
      recogniser.sessions = {};
      for (const [name, graph] of Object.entries(data.graphs)) {
        const content = new Uint8Array(await (await embedded(graph)).arrayBuffer());
        recogniser.sessions[name] = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
      }
      URL.revokeObjectURL(glue);
      return recogniser;
    }

    // Returns one channel of several: their average, or the loudest where the average cancels the sound.
    static mixed(channels) {
      const centred = channels.map((channel) => {
        const mean = channel.reduce((sum, sample) => sum + sample, 0) / channel.length;
        return channel.map((sample) => sample - mean);
      });
      const average = (all) => all[0].map((_, n) => all.reduce((sum, channel) => sum + channel[n], 0) / all.length);
      const energies = [average(centred), ...centred].map((channel) =>
        channel.reduce((sum, sample) => sum + sample ** 2, 0),
      );
      const loudest = Math.max(...energies.slice(1));
      return energies[0] > loudest / 100 ? average(channels) : channels[energies.indexOf(loudest, 1) - 1];
    }

    // Returns `samples` around zero, at the level of the speech that the models have learnt. Throws a RangeError for what
    // is too long, or silent.
    static levelled(samples) {
      const { features, speech } = globalThis.recogniserData;
      const seconds = samples.length / features.rate;
      if (seconds > speech.longest) {
        throw new RangeError(`lasts ${Math.round(seconds)} s; at most ${speech.longest} s can be recognised.`);
      }
      const mean = samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
      const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample - mean)), 0);
      if (peak < speech.silence) throw new RangeError("is silent.");
      return samples.map((sample) => ((sample - mean) * speech.level) / peak);
    }

    // Returns the tensors of a part of a model; `places` say by name where each begins, and its shape.
    tensors(places) {
      return Object.fromEntries(
        Object.entries(places).map(([name, [start, shape]]) => {
          const length = shape.reduce((product, size) => product * size, 1);
          return [name, new ort.Tensor("float32", this.weights.subarray(start, start + length), shape)];
        }),
      );
    }

    run(graph, inputs, places) {
      return this.sessions[graph].run({ ...inputs, ...this.tensors(places) });
    }

    // Returns what the model `name` makes of `samples` at 16 kHz: intact, and with each of `layers` (from 1) reset, one
    // at a time. What a reset leaves as it was, the layers below, is computed once.
    async recognise(samples, name, kind, layers) {
      const model = globalThis.recogniserData.models[name];
      const { bins } = globalThis.recogniserData.features;
      const features = globalThis.logMel(samples);
      const input = new ort.Tensor("float32", features, [features.length / bins, bins]);
      let { x } = await this.run("subsample", { features: input }, model.subsample);
      const below = [];
      for (const layer of model.layers) {
        below.push(x);
        x = (await this.run("layer", { x }, layer)).y;
      }
      const intact = await this.decode(x, model);
      const resets = [];
      for (const layer of layers) {
        x = below[layer - 1];
        for (const part of [model.resets[kind][layer - 1], ...model.layers.slice(layer)]) {
          x = (await this.run("layer", { x }, part)).y;
        }
        resets.push(await this.decode(x, model));
      }
      return { intact, resets };
    }

    // Returns the text of the best path through `encoded` [time, dim].
    async decode(encoded, model) {
      const state = () => new ort.Tensor("float32", new Float32Array(model.units), [1, model.units]);
      const step = async (label, h, c) => {
        const inputs = { encoded, label: new ort.Tensor("int32", [label], [1]), h, c };
        return this.run("step", inputs, model.step);
      };
      let next = await step(model.blank, state(), state());
      let text = "";
      for (let frame = 0, emitted = 0; frame < next.best.data.length; ) {
        const label = next.best.data[frame];
        if (label === model.blank || emitted === Recogniser.MOST_LABELS) {
          frame++;
          emitted = 0;
        } else {
          emitted++;
          text += model.alphabet[label - 1];
          next = await step(label, next.next_h, next.next_c);
        }
      }
      return text.trim();
    }
  };
})();
