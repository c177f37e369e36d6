"use strict";
// The brush: strokes over a picture make a mask, or on paper a drawing, which is sent with words.

(() => {
  const form = document.querySelector("#brush");
  const picture = form.querySelector("#brush-picture");
  const view = form.querySelector("#brush-view");
  const stage = form.querySelector("#brush-canvas");
  const shown = form.querySelector("#brush-mask");
  const size = form.querySelector("#brush-size");
  const feather = form.querySelector("#brush-feather");
  const prompt = form.querySelector("#brush-prompt");
  const refusal = form.querySelector("#brush-refusal");
  const [width, height] = ["width", "height"].map((name) => Number(picture.getAttribute(name)));
  const mask = Object.assign(document.createElement("canvas"), { width, height });
  Object.assign(shown, { width, height });
  const draws = "draw" in form.dataset;
  if (draws) picture.style.aspectRatio = `${width} / ${height}`;
  const pen = mask.getContext("2d", { willReadFrequently: true });
  const overlay = shown.getContext("2d");

  let done = []; // strokes and other changes, in their order: undoing plays all but the last again
  let stroke = null;
  let tool = "paint";
  let zoom = 1;
  let at = [width / 2, height / 2]; // the keyboard's place
  const fingers = new Map();

  // --- the mask ----------------------------------------------------------------------------------------------

  function play(change) {
    pen.globalCompositeOperation = change.erase ? "destination-out" : "source-over";
    if (change.kind === "clear") pen.clearRect(0, 0, width, height);
    else if (change.kind === "invert") {
      pen.globalCompositeOperation = "xor";
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, width, height);
    } else line(change);
    pen.globalCompositeOperation = "source-over";
  }

  function line({ points, wide }) {
    pen.strokeStyle = pen.fillStyle = "#fff";
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = wide;
    pen.beginPath();
    const [first, ...others] = points;
    if (others.length) {
      pen.moveTo(...first);
      for (const point of others) pen.lineTo(...point);
      pen.stroke();
    } else { // a line without length is not drawn
      pen.arc(...first, wide / 2, 0, 7);
      pen.fill();
    }
  }

  function draw() {
    overlay.clearRect(0, 0, width, height);
    overlay.globalAlpha = draws ? 1 : 0.55;
    overlay.drawImage(mask, 0, 0);
    overlay.globalCompositeOperation = "source-in";
    overlay.globalAlpha = 1;
    overlay.fillStyle = draws ? "#000" : "rgb(255 0 128 / .55)";
    overlay.fillRect(0, 0, width, height);
    overlay.globalCompositeOperation = "source-over";
    if (document.activeElement === shown) ring();
    form.querySelector("[data-do=undo]").disabled = !done.length;
  }

  function ring() {
    for (const [colour, more] of [["#000", 1.5], ["#fff", 0]]) {
      overlay.strokeStyle = colour;
      overlay.lineWidth = Math.max(1, width / 400);
      overlay.beginPath();
      overlay.arc(...at, wide() / 2 + more, 0, 7);
      overlay.stroke();
    }
  }

  const wide = () => Math.max(draws ? 4 : 2, (size.value / 100) * Math.min(width, height));
  const erases = () => tool === "erase";
  const add = (change) => { done.push(change); play(change); draw(); tell(); };
  function undo() {
    if (!done.length) return;
    done = done.slice(0, -1);
    pen.clearRect(0, 0, width, height);
    done.forEach(play);
    draw();
    tell();
  }
  function marked() {
    const values = pen.getImageData(0, 0, width, height).data;
    let count = 0;
    for (let i = 3; i < values.length; i += 4) count += values[i] > 127;
    return count / (width * height);
  }
  const tell = () => draws || announce(say("{percent} % of the image is marked.", { percent: Math.round(100 * marked()) }));

  /** The mask as a PNG, white on black, with soft edges where they are asked for. */
  function exported() {
    const soft = Object.assign(document.createElement("canvas"), { width, height });
    const out = soft.getContext("2d");
    out.fillStyle = "#000";
    out.fillRect(0, 0, width, height);
    if (Number(feather?.value)) out.filter = `blur(${feather.value / 2}px)`;
    out.drawImage(mask, 0, 0);
    if (draws) { // dark on white, as on paper
      out.globalCompositeOperation = "difference";
      out.fillStyle = "#fff";
      out.fillRect(0, 0, width, height);
    }
    return new Promise((resolve) => soft.toBlob(resolve, "image/png"));
  }

  // --- pointer and touch -------------------------------------------------------------------------------------

  function place(e) {
    const box = shown.getBoundingClientRect();
    return [((e.clientX - box.left) * width) / box.width, ((e.clientY - box.top) * height) / box.height];
  }
  shown.addEventListener("pointerdown", (e) => {
    if (e.button > 0) return;
    shown.setPointerCapture(e.pointerId);
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    if (fingers.size > 1) { // two fingers move the picture; what the first has begun is taken back
      if (stroke) { stroke = null; done.push({ kind: "line", points: [[-9, -9]], wide: 1 }); undo(); }
      return;
    }
    stroke = { kind: "line", points: [place(e)], wide: wide(), erase: erases() };
    play(stroke);
    draw();
  });
  shown.addEventListener("pointermove", (e) => {
    const before = fingers.get(e.pointerId);
    if (!before) return;
    if (fingers.size > 1) view.scrollBy((before[0] - e.clientX) / fingers.size, (before[1] - e.clientY) / fingers.size);
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    if (!stroke) return;
    for (const each of e.getCoalescedEvents?.() ?? [e]) stroke.points.push(place(each));
    play(stroke);
    draw();
  });
  const lift = (e) => {
    fingers.delete(e.pointerId);
    if (!stroke) return;
    done.push(stroke);
    stroke = null;
    draw();
    tell();
  };
  shown.addEventListener("pointerup", lift);
  shown.addEventListener("pointercancel", lift);
  shown.addEventListener("focus", draw);
  shown.addEventListener("blur", draw);

  // --- buttons and keys --------------------------------------------------------------------------------------

  function choose(name) {
    tool = name;
    for (const each of form.querySelectorAll("[data-tool]")) each.setAttribute("aria-pressed", each.dataset.tool === name);
  }
  /** The whole picture is seen at 100 %. */
  function fit() {
    const whole = Math.min(640, form.clientWidth, (0.6 * window.innerHeight * width) / height);
    stage.style.width = `${whole * zoom}px`;
  }
  function zoomBy(factor) {
    const middle = [view.scrollLeft + view.clientWidth / 2, view.scrollTop + view.clientHeight / 2];
    const before = zoom;
    zoom = Math.min(8, Math.max(1, zoom * factor));
    fit();
    form.querySelector("#brush-zoom").value = `${Math.round(100 * zoom)} %`;
    view.scrollTo(middle[0] * zoom / before - view.clientWidth / 2, middle[1] * zoom / before - view.clientHeight / 2);
  }
  const resize = (by) => { size.value = Number(size.value) + by; draw(); };
  const actions = {
    undo,
    invert: () => add({ kind: "invert" }),
    clear: () => add({ kind: "clear" }),
    in: () => zoomBy(1.5),
    out: () => zoomBy(1 / 1.5),
  };
  form.addEventListener("click", (e) => {
    const button = e.target.closest("button");
    if (button?.dataset.tool) choose(button.dataset.tool);
    else if (button?.dataset.do) actions[button.dataset.do]();
  });
  size.addEventListener("input", draw);
  view.addEventListener("wheel", (e) => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    zoomBy(e.deltaY < 0 ? 1.2 : 1 / 1.2);
  }, { passive: false });

  const move = (x, y) => { at = [Math.min(width, Math.max(0, at[0] + x)), Math.min(height, Math.max(0, at[1] + y))]; draw(); };
  const dab = () => add({ kind: "line", points: [[...at]], wide: wide(), erase: erases() });
  const step = () => wide() / 2;
  const keys = {
    ArrowLeft: () => move(-step(), 0), ArrowRight: () => move(step(), 0),
    ArrowUp: () => move(0, -step()), ArrowDown: () => move(0, step()),
    " ": dab, Enter: dab,
    e: () => choose(erases() ? "paint" : "erase"),
    "[": () => resize(-2), "]": () => resize(2),
    z: undo, i: () => draws || actions.invert(), "+": actions.in, "=": actions.in, "-": actions.out,
  };
  shown.addEventListener("keydown", (e) => {
    const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act || e.altKey) return;
    e.preventDefault();
    act();
  });

  // --- sending -----------------------------------------------------------------------------------------------

  const event = newEvent(); // sent twice, it is done once
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const refuse = (notice) => { refusal.textContent = notice; refusal.hidden = false; };
    if (!marked()) return refuse(draws ? say("Nothing is drawn yet.") : say("Nothing is marked yet. Paint over what is to change."));
    const send = form.querySelector(".primary");
    send.disabled = true;
    const values = new FormData();
    for (const [name, value] of Object.entries({ text: prompt.value, event, parent: form.dataset.parent ?? "" })) values.set(name, value);
    values.set("source", await exported(), "mask.png");
    try {
      await ask(draws ? "/api/draw" : "/api/region", values);
      location.assign("/");
    } catch (answer) {
      refuse(answer.notice);
      send.disabled = false;
    }
  });
  window.addEventListener("resize", fit);
  fit();
  draw();
})();
