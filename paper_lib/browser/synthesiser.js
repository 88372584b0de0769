// Speaks what is typed as paper_lib/corpus/speakers.py does, by espeak-ng. Reads globalThis.synthesiserData.
globalThis.Synthesiser = (() => {
  const embedded = async (base64) => (await fetch(`data:application/octet-stream;base64,${base64}`)).arrayBuffer();

  return class Synthesiser {
    static async load() {
      const { program, data, filter } = globalThis.synthesiserData;
      const synthesiser = new Synthesiser();
      const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
      synthesiser.start = (await import(address)).default;
      URL.revokeObjectURL(address);
      synthesiser.data = await embedded(data);
      synthesiser.filter = new Float32Array(await embedded(filter));
      return synthesiser;
    }

    // Returns `text` at 16 kHz by `voice`: { name, tract, rate }; its words one by one, with pauses, where `apart`.
    async speak(text, voice, apart) {
      const parts = [];
      for (const part of apart ? text.split(" ") : [text]) {
        if (parts.length) parts.push(new Float32Array(globalThis.synthesiserData.pause));
        parts.push(await this.say(part, voice));
      }
      const samples = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
      parts.reduce((place, part) => {
        samples.set(part, place);
        return place + part.length;
      }, 0);
      return samples;
    }

    // espeak-ng carries state from one utterance into the next: each is spoken by a program that has just started.
    async say(text, { name, tract, rate }) {
      const { variants, volume } = globalThis.synthesiserData;
      const program = await this.start({ getPreloadedPackage: () => this.data });
      program.FS_createDataFile(variants, name.split("+")[1], new TextEncoder().encode(tract), true, true, true);
      const worker = new program.eSpeakNGWorker();
      worker.set_voice(name, null, 0, 0, 0);
      worker.set_rate(rate);
      worker.set_volume(volume);
      const spoken = [];
      worker.synthesize(text, (samples) => {
        spoken.push(...samples);
        return false;
      });
      return this.levelled(this.resampled(spoken));
    }

    // As scipy.signal.resample_poly.
    resampled(samples) {
      const { up, down } = globalThis.synthesiserData;
      const half = (this.filter.length - 1) / 2;
      const out = new Float32Array(Math.ceil((samples.length * up) / down));
      for (let m = 0; m < out.length; m++) {
        const centre = half + m * down;
        const last = Math.min(samples.length - 1, Math.floor(centre / up));
        let sum = 0;
        for (let n = Math.max(0, Math.ceil((centre - 2 * half) / up)); n <= last; n++) {
          sum += samples[n] * this.filter[centre - n * up];
        }
        out[m] = up * sum;
      }
      return out;
    }

    // Without the silence at its ends but for a margin, and as loud as every utterance.
    levelled(samples) {
      const { quiet, level, margin } = globalThis.synthesiserData;
      const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      const loud = (sample) => Math.abs(sample) > quiet * peak;
      const spoken = samples.subarray(samples.findIndex(loud), samples.findLastIndex(loud) + 1);
      const out = new Float32Array(spoken.length + 2 * margin);
      out.set(spoken.map((sample) => (sample * level) / peak), margin);
      return out;
    }

    // Returns a sound file of `samples`, to be played.
    static file(samples) {
      const { rate } = globalThis.synthesiserData;
      const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
      const text = (place, letters) => [...letters].forEach((letter, k) => view.setUint8(place + k, letter.charCodeAt(0)));
      text(0, "RIFF");
      view.setUint32(4, 36 + 2 * samples.length, true);
      text(8, "WAVEfmt ");
      [16, 1 | (1 << 16), rate, 2 * rate, 2 | (16 << 16)].forEach((word, k) => view.setUint32(16 + 4 * k, word, true));
      text(36, "data");
      view.setUint32(40, 2 * samples.length, true);
      samples.forEach((sample, k) => view.setInt16(44 + 2 * k, Math.round(sample * 32767), true));
      return new Blob([view], { type: "audio/wav" });
    }
  };
})();
