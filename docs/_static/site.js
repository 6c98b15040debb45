// Two figures that compute as one plays with them; without JavaScript their still pictures stay.
"use strict";
(() => {
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const alpha = (gamma) => Math.sqrt(sigmoid(-gamma));
  const sigma = (gamma) => Math.sqrt(sigmoid(gamma));
  const number = (x, digits) => x.toFixed(digits).replace("-", "−");

  // Normal numbers, the same for the same seed (xorshift, then Box and Muller's formula).
  function normals(seed) {
    let state = seed | 1;
    const even = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return ((state >>> 0) + 0.5) / 2 ** 32;
    };
    return () => Math.sqrt(-2 * Math.log(even())) * Math.cos(2 * Math.PI * even());
  }

  const place = (dot, [x, y]) => {
    dot.setAttribute("cx", x.toFixed(3));
    dot.setAttribute("cy", (-y).toFixed(3));
  };

  function gammaFigure(figure) {
    const slider = figure.querySelector("input");
    const output = figure.querySelector("output");
    const dots = [...figure.querySelectorAll("circle")];
    const start = Number(slider.defaultValue);
    // The still picture is made of data and of noise: here is the noise, and what is left is data.
    const pairs = dots.map((dot) => {
      const [x, y] = dot.dataset.x.split(" ").map(Number);
      const [zx, zy] = [Number(dot.getAttribute("cx")), -Number(dot.getAttribute("cy"))];
      const noise = (z, from) => (z - alpha(start) * from) / sigma(start);
      return { x: [x, y], eps: [noise(zx, x), noise(zy, y)] };
    });
    const show = () => {
      const gamma = Number(slider.value);
      const [a, s] = [alpha(gamma), sigma(gamma)];
      dots.forEach((dot, i) => place(dot, pairs[i].x.map((x, d) => a * x + s * pairs[i].eps[d])));
      const snr = Math.exp(-gamma);
      output.textContent =
        `γ = ${number(gamma, 1)} · signal α² = ${number(a * a, 2)} · ` +
        `noise σ² = ${number(s * s, 2)} · SNR = ${snr.toPrecision(2)}`;
      slider.setAttribute("aria-valuetext", `γ = ${number(gamma, 1)}`);
    };
    slider.addEventListener("input", show);
    show();
  }

  // The best guess of what made z, for data that is one of the points, each of width 0.1.
  function guess(z, points, gamma) {
    const [a, s2, width2] = [alpha(gamma), sigmoid(gamma), 0.01];
    const variance = a * a * width2 + s2;
    const logs = points.map((p) => -((z[0] - a * p[0]) ** 2 + (z[1] - a * p[1]) ** 2) / 2 / variance);
    const top = Math.max(...logs);
    const weights = logs.map((l) => Math.exp(l - top));
    const total = weights.reduce((sum, w) => sum + w, 0);
    return [0, 1].map((d) =>
      points.reduce((sum, p, i) => {
        const x = p[d] + (a * width2 * (z[d] - a * p[d])) / variance;
        return sum + (weights[i] / total) * x;
      }, 0),
    );
  }

  // Ancestral sampling: the walks of all dots down the noise levels, each level kept.
  function walks(points, gammas, count, seed) {
    const normal = normals(seed);
    const path = [Array.from({ length: count }, () => [normal(), normal()])];
    for (let i = 0; i + 1 < gammas.length && points.length; i++) {
      const [t, s] = [gammas[i], gammas[i + 1]];
      const c = -Math.expm1(s - t);
      path.push(
        path[i].map((z) => {
          const x = guess(z, points, t);
          return z.map(
            (one, d) =>
              (alpha(s) / alpha(t)) * (1 - c) * one +
              alpha(s) * c * x[d] +
              sigma(s) * Math.sqrt(c) * normal(),
          );
        }),
      );
    }
    return path;
  }

  function drawFigure(figure) {
    const svg = figure.querySelector("svg");
    const slider = figure.querySelector("input");
    const output = figure.querySelector("output");
    const dots = [...svg.querySelectorAll("circle")];
    const steps = Number(slider.max);
    const gammas = Array.from({ length: steps + 1 }, (_, i) => 5 - (13 * i) / steps);
    const circle = (n) =>
      Array.from({ length: n }, (_, i) => [1.5 * Math.cos((2 * Math.PI * i) / n), 1.5 * Math.sin((2 * Math.PI * i) / n)]);
    const line = [-1.6, -0.8, 0.8, 1.6];
    const sets = {
      ring: () => circle(8),
      cross: () => [[0, 0], ...line.map((x) => [x, 0]), ...line.map((y) => [0, y])],
      clear: () => [],
    };
    let [points, seed, path, at] = [sets.ring(), 1, [], [0, 0]];

    const shape = (name, attributes) => {
      const node = document.createElementNS(svg.namespaceURI, name);
      Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
      svg.append(node);
      return node;
    };
    const cross = shape("path", { class: "cross", d: "M-.2 0H.2M0-.2V.2" });

    const show = () => {
      const i = Math.min(Number(slider.value), path.length - 1);
      dots.forEach((dot, n) => place(dot, path[i][n]));
      const count = points.length === 1 ? "1 point" : `${points.length} points`;
      output.textContent = points.length
        ? `${count} of data · γ = ${number(gammas[i], 1)}`
        : "no data: put a point, and the noise has where to go";
      slider.setAttribute("aria-valuetext", `γ = ${number(gammas[i], 1)}`);
    };
    const renew = () => {
      svg.querySelectorAll("rect").forEach((rect) => rect.remove());
      points.forEach(([x, y]) => shape("rect", { x: x - 0.07, y: -y - 0.07, width: 0.14, height: 0.14 }));
      path = walks(points, gammas, dots.length, 7919 * seed);
      show();
    };
    const add = (point) => {
      points = [...points, point].slice(-100);
      renew();
    };

    slider.addEventListener("input", show);
    svg.addEventListener("pointerdown", (event) => {
      const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      add([spot.x, -spot.y]);
    });
    svg.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (event.key === "Enter" || event.key === " ") add(at);
      else if (moves[event.key])
        at = at.map((one, d) => Math.max(-2.8, Math.min(2.8, one + 0.2 * moves[event.key][d])));
      else return;
      event.preventDefault();
      cross.setAttribute("transform", `translate(${at[0]} ${-at[1]})`);
    });
    figure.querySelectorAll("button").forEach((button) =>
      button.addEventListener("click", () => {
        if (button.dataset.act === "again") seed += 1;
        else points = sets[button.dataset.act]();
        renew();
      }),
    );
    // A picture that answers to keys has to say so.
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "application");
    svg.setAttribute("aria-label", "Your data. The arrow keys move a cross, Enter puts a point there.");
    renew();
  }

  // What scrolls by itself can be reached by the keyboard.
  const reach = () =>
    document.querySelectorAll("div.math, div.cell_output .output, .pst-scrollable-table-container").forEach((box) => {
      if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    });
  document.fonts.ready.then(reach);
  window.addEventListener("resize", reach);

  const makers = { gamma: gammaFigure, draw: drawFigure };
  document.querySelectorAll("figure.play").forEach((figure) => makers[figure.dataset.figure](figure));
})();
