// Log-mel features as paper_lib/corpus/features.py computes them, in single precision like it: where a bin is quiet
// beside a loud one, the roundings of the transform show. Reads globalThis.recogniserData.features.
globalThis.logMel = (() => {
  const { window: length, hop, fft, floor, bins, filters } = globalThis.recogniserData.features;
  const round = Math.fround;
  const hann = Float32Array.from({ length }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length));

  // The real transform of FFTPACK (Swarztrauber 1982) in the order of scipy's pocketfft: `factors` of fft from the last.
  // A pass takes cc [ido, l1, radix] to ch [ido, radix, l1], the first index running fastest.
  const factors = [];
  for (let rest = fft; rest > 1; rest /= factors.at(-1)) factors.push(rest % 4 ? 2 : 4);
  if (factors.at(-1) === 2) [factors[0], factors[factors.length - 1]] = [2, factors[0]];
  let l1 = 1;
  const passes = factors.map((radix) => {
    const ido = fft / (l1 * radix);
    const turns = Array.from({ length: radix - 1 }, (_, j) =>
      Float32Array.from({ length: ido }, (_, i) => {
        const angle = (2 * Math.PI * (j + 1) * l1 * ((i >> 1) + 1)) / fft;
        return i % 2 ? Math.sin(angle) : Math.cos(angle);
      }),
    );
    const pass = { radix, ido, l1, turns };
    l1 *= radix;
    return pass;
  });
  passes.reverse();
  const HALF = round(Math.SQRT1_2);

  const run = ({ radix, ido, l1, turns }, cc, ch) => {
    const from = (i, k, j) => i + ido * (k + l1 * j);
    const to = (i, j, k) => i + ido * (j + radix * k);
    const both = (sum, difference, a, b) => {
      ch[sum] = a + b;
      ch[difference] = a - b;
    };
    // Returns the complex number j of column i, turned.
    const turned = (i, k, j) => {
      const [re, im] = [cc[from(i - 1, k, j)], cc[from(i, k, j)]];
      const [cos, sin] = [turns[j - 1][i - 2], turns[j - 1][i - 1]];
      return [round(round(cos * re) + round(sin * im)), round(round(cos * im) - round(sin * re))];
    };
    for (let k = 0; k < l1; k++) {
      if (radix === 2) {
        both(to(0, 0, k), to(ido - 1, 1, k), cc[from(0, k, 0)], cc[from(0, k, 1)]);
        if (ido % 2 === 0) {
          ch[to(0, 1, k)] = -cc[from(ido - 1, k, 1)];
          ch[to(ido - 1, 0, k)] = cc[from(ido - 1, k, 0)];
        }
        for (let i = 2; i < ido; i += 2) {
          const [re, im] = turned(i, k, 1);
          both(to(i - 1, 0, k), to(ido - i - 1, 1, k), cc[from(i - 1, k, 0)], re);
          both(to(i, 0, k), to(ido - i, 1, k), im, cc[from(i, k, 0)]);
        }
        continue;
      }
      const odd = round(cc[from(0, k, 3)] + cc[from(0, k, 1)]);
      ch[to(0, 2, k)] = cc[from(0, k, 3)] - cc[from(0, k, 1)];
      const even = round(cc[from(0, k, 0)] + cc[from(0, k, 2)]);
      ch[to(ido - 1, 1, k)] = cc[from(0, k, 0)] - cc[from(0, k, 2)];
      both(to(0, 0, k), to(ido - 1, 3, k), even, odd);
      if (ido % 2 === 0) {
        const [first, third] = [cc[from(ido - 1, k, 1)], cc[from(ido - 1, k, 3)]];
        const im = round(-HALF * round(first + third));
        const re = round(HALF * round(first - third));
        both(to(ido - 1, 0, k), to(ido - 1, 2, k), cc[from(ido - 1, k, 0)], re);
        both(to(0, 3, k), to(0, 1, k), im, cc[from(ido - 1, k, 2)]);
      }
      for (let i = 2; i < ido; i += 2) {
        const [[r2, i2], [r3, i3], [r4, i4]] = [turned(i, k, 1), turned(i, k, 2), turned(i, k, 3)];
        const [r0, i0] = [cc[from(i - 1, k, 0)], cc[from(i, k, 0)]];
        both(to(i - 1, 0, k), to(ido - i - 1, 3, k), round(r0 + r3), round(r4 + r2));
        both(to(i, 0, k), to(ido - i, 3, k), round(i2 + i4), round(i0 + i3));
        both(to(i - 1, 2, k), to(ido - i - 1, 1, k), round(r0 - r3), round(i2 - i4));
        both(to(i, 2, k), to(ido - i, 1, k), round(r4 - r2), round(i0 - i3));
      }
    }
  };

  // Returns the features [frames * bins] of `samples` at 16 kHz; fewer samples than a window are padded to one.
  return (samples) => {
    const frames = 1 + Math.floor((Math.max(samples.length, length) - length) / hop);
    const features = new Float32Array(frames * bins);
    let [values, spare] = [new Float32Array(fft), new Float32Array(fft)];
    const power = new Float32Array(fft / 2 + 1);
    for (let frame = 0; frame < frames; frame++) {
      values.fill(0);
      for (let n = 0; n < length; n++) values[n] = (samples[frame * hop + n] || 0) * hann[n];
      for (const pass of passes) {
        run(pass, values, spare);
        [values, spare] = [spare, values];
      }
      // The first and the last bin are real; the others lie between, real parts before imaginary ones.
      power[0] = values[0] ** 2;
      power[fft / 2] = values[fft - 1] ** 2;
      for (let bin = 1; bin < fft / 2; bin++) {
        power[bin] = round(values[2 * bin - 1] ** 2) + round(values[2 * bin] ** 2);
      }
      filters.forEach(({ first, weights }, bin) => {
        const energy = weights.reduce((sum, weight, at) => round(sum + round(weight * power[first + at])), 0);
        features[frame * bins + bin] = Math.log(round(energy + round(floor)));
      });
    }
    return features;
  };
})();
