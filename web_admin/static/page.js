// The page's own script: what keeps it alive between the server's answers. Five parts: the player, the waveform, the
// wall with its event stream, what helps to set the box up, and small helps for tables. htmx swaps #page; the player
// stays outside of it.

import { Listener } from "./listener.js";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const page = () => $("#page");

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// Player --------------------------------------------------------------------------------------------------------------

class Player {
  constructor(bar) {
    this.bar = bar;
    this.audio = $("audio", bar);
    this.range = $("input[type=range]", bar);
    this.speed = $("select", bar);
    this.handle = null;
    for (const name of ["play", "pause", "timeupdate", "seeked", "durationchange", "ended"])
      this.audio.addEventListener(name, () => this.show());
    this.audio.addEventListener("play", () => this.follow());
    this.audio.addEventListener("error", () => this.fail());
    this.range.addEventListener("input", () => this.seek(Number(this.range.value)));
    this.speed.addEventListener("change", () => this.setSpeed(Number(this.speed.value)));
  }

  // Make this recording the player's, without starting it.
  take({ play: handle, title, sub, duration }) {
    if (handle === this.handle) return;
    this.handle = handle;
    this.duration = Number(duration);
    this.audio.src = `/recordings/${handle}/audio`;
    this.audio.playbackRate = this.audio.defaultPlaybackRate = Number(this.speed.value);
    $(".fault", this.bar).textContent = "";
    const what = $(".what", this.bar);
    what.href = `/recordings/${handle}`;
    what.textContent = title;
    what.append(Object.assign(document.createElement("small"), { textContent: sub }));
    this.bar.hidden = false;
    document.body.classList.add("playing");
    this.bar.dataset.handle = handle;
    this.show();
  }

  toggle() {
    if (!this.handle) return;
    if (this.audio.paused) this.audio.play().catch(() => this.fail());
    else this.audio.pause();
  }

  // Every recording's length is known before its file is; a place can be chosen before anything is loaded.
  seek(seconds) {
    if (!this.handle) return;
    this.audio.currentTime = Math.min(Math.max(0, seconds), Math.max(0, this.length() - 0.05));
    this.show();
  }

  step(seconds) { this.seek(this.audio.currentTime + seconds); }
  length() { return Number.isFinite(this.audio.duration) ? this.audio.duration : this.duration; }

  setSpeed(rate) {
    this.audio.playbackRate = this.audio.defaultPlaybackRate = rate;
    this.speed.value = String(rate);
  }

  faster(by) {
    const options = $$("option", this.speed).map((option) => Number(option.value));
    const at = options.indexOf(Number(this.speed.value)) + by;
    if (options[at]) this.setSpeed(options[at]);
  }

  loop() {
    this.audio.loop = !this.audio.loop;
    $('[data-do="loop"]', this.bar).setAttribute("aria-pressed", String(this.audio.loop));
  }

  close() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.handle = null;
    delete this.bar.dataset.handle;
    this.bar.hidden = true;
    document.body.classList.remove("playing");
    this.show();
  }

  fail() {
    if (!this.handle || (this.audio.error && this.audio.error.code === MediaError.MEDIA_ERR_ABORTED)) return;
    const fault = $(".fault", this.bar);
    fault.textContent = fault.dataset.words;
  }

  // The waveform's cursor moves with every frame that is drawn, the rest with the browser's own time reports.
  follow() {
    if (this.audio.paused) return;
    waveform.follow(this);
    requestAnimationFrame(() => this.follow());
  }

  show() {
    const playing = Boolean(this.handle) && !this.audio.paused;
    const length = this.handle ? this.length() : 0;
    this.range.max = String(Math.max(length, 0.1));
    this.range.value = String(this.audio.currentTime);
    this.range.setAttribute("aria-valuetext", clock(this.audio.currentTime));
    $(".time", this.bar).textContent = clock(this.audio.currentTime);
    $(".length", this.bar).textContent = clock(length);
    $('[data-do="toggle"]', this.bar).classList.toggle("is-playing", playing);
    for (const button of $$("[data-play]"))
      button.classList.toggle("is-playing", playing && button.dataset.play === this.handle);
    for (const row of $$("tr[data-handle]")) row.classList.toggle("now", row.dataset.handle === this.handle);
    waveform.follow(this);
  }
}

// Waveform ------------------------------------------------------------------------------------------------------------

const COLOURS = {
  digit: "47 111 208", caller: "27 138 138", ring: "209 138 27", tone: "122 139 153", fax: "138 79 196",
  data: "196 121 58", class: "58 154 92", line: "150 163 173", silence: "150 163 173", gap: "208 64 42",
  pre_roll: "138 79 196",
};
const POINT = new Set(["class", "line", "caller"]);

const waveform = {
  surfer: null,
  handle: null,
  labels: [],

  async draw(box) {
    this.forget();
    this.handle = box.dataset.handle;
    const answer = await fetch(`/recordings/${this.handle}/waveform`, { headers: { Accept: "application/json" } });
    if (!answer.ok || !box.isConnected) return;
    const { peaks, duration, marks } = await answer.json();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const regions = WaveSurfer.Regions.create();
    const timeline = WaveSurfer.Timeline.create({ height: 18, style: { color: colour("--muted"), fontSize: "11px" } });
    this.surfer = WaveSurfer.create({
      container: box, height: 132, peaks: [peaks], duration, normalize: true, barWidth: 2, barGap: 1, barRadius: 1,
      waveColor: colour("--wave"), progressColor: colour("--wave-done"), cursorColor: colour("--red"), cursorWidth: 2,
      cspNonce: $("meta[name=style-nonce]").content, plugins: [regions, timeline], dragToSeek: true,
    });
    this.surfer.on("interaction", (seconds) => this.jump(seconds));
    this.surfer.on("ready", () => {
      for (const mark of marks) this.mark(regions, mark, duration);
      this.label(box, duration);
      box.dataset.ready = "1";
      if (player) this.follow(player);
    });
    $("#zoom").addEventListener("input", (event) => {
      this.surfer.zoom(Number(event.target.value));
      this.label(box, duration);
    });
  },

  mark(regions, mark, duration) {
    const end = mark.end_s === null || POINT.has(mark.category) ? undefined : Math.min(mark.end_s, duration);
    const wide = mark.category === "silence" || mark.category === "gap" || mark.category === "pre_roll";
    const region = regions.addRegion({
      start: Math.min(mark.start_s, duration), end, drag: false, resize: false,
      color: `rgb(${COLOURS[mark.category]} / ${end === undefined ? 0.9 : wide ? 0.16 : 0.32})`,
      content: mark.category === "digit" ? mark.label : undefined,
    });
    if (!region.element) return;
    region.element.title = `${clock(mark.start_s)} ${mark.text}`;
    region.element.dataset.category = mark.category;
    region.element.dataset.start = String(mark.start_s);
    region.element.style.pointerEvents = "none";
    const label = region.element.querySelector('[part="region-content"]');
    if (label) {
      Object.assign(label.style, { padding: "0", margin: "0", fontSize: "12px", fontWeight: "700", textAlign: "center" });
      this.labels.push(label);
    }
  },

  // Digits follow one another within a fifth of a second: they are written out where there is room for them.
  label(box, duration) {
    const wide = Math.max(Number($("#zoom").value), box.clientWidth / duration);
    for (const label of this.labels) Object.assign(label.style, { display: wide >= 38 ? "block" : "none", marginTop: "0" });
  },

  jump(seconds) {
    const box = $("#waveform");
    if (!box) return;
    player.take({ ...box.dataset, play: box.dataset.handle });
    player.seek(seconds);
  },

  follow(from) {
    if (!this.surfer || !$("#waveform")) return;
    const seconds = from.handle === this.handle ? from.audio.currentTime : 0;
    if (Math.abs((this.shown ?? -1) - seconds) > 0.005) {
      this.shown = seconds;
      this.surfer.setTime(seconds);
      $("#wave-time").textContent = clock(seconds);
    }
  },

  forget() {
    this.surfer?.destroy();
    this.surfer = this.handle = this.shown = null;
    this.labels = [];
  },
};

// The event stream and the wall ---------------------------------------------------------------------------------------

const stream = {
  source: null,
  view: null,
  fresh: 0,

  // One stream a browser, none in a hidden tab.
  open() {
    const wanted = page()?.dataset.signedIn === "1" && !document.hidden;
    const view = ["wall", "learn"].includes(page()?.dataset.view) ? page().dataset.view : "page";
    if (wanted && this.source && this.view === view) return;
    this.source?.close();
    this.source = null;
    if (!wanted) return;
    this.view = view;
    this.source = new EventSource(`/events?view=${view}&tiles=${$$(".tile").length}`);
    this.source.addEventListener("html", (event) => replace(event.data));
    this.source.addEventListener("levels", (event) => levels(JSON.parse(event.data)));
    this.source.addEventListener("volts", (event) => volts(JSON.parse(event.data)));
    this.source.addEventListener("finished", (event) => this.finished(Number(event.data)));
    this.source.addEventListener("signed_out", () => location.assign("/"));
  },

  finished(count) {
    const hint = $("#fresh");
    if (!hint) return;
    this.fresh += count;
    hint.textContent = (this.fresh === 1 ? hint.dataset.one : hint.dataset.other).replace("{n}", this.fresh);
    hint.hidden = false;
  },
};

// Elements that replace those of the same id; whatever had the focus keeps it, and what was opened stays open.
function replace(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const fresh of [...template.content.children]) {
    const old = document.getElementById(fresh.id);
    if (fresh.id === "reload-wall") { htmx.ajax("GET", "/lines", { target: "#page", select: "#page", swap: "outerHTML" }); stream.view = null; return; }
    if (!old) continue;
    const focused = old.contains(document.activeElement) && document.activeElement !== old
      ? document.activeElement.dataset.testid : null;
    const meter = $(".meter i", old)?.style.transform;
    const open = $$("details", old).map((details) => details.open);
    $$("details", fresh).forEach((details, place) => { details.open = open[place] ?? false; });
    old.replaceWith(fresh);
    htmx.process(fresh);
    const bar = $(".meter i", fresh);
    if (bar && meter) bar.style.transform = meter;
    if (focused) $(`[data-testid="${focused}"]`, fresh)?.focus();
    listener.show();
  }
  tick();
}

// From -60 dBm0 (empty) to 0 dBm0 (full); from -9 on it is too loud.
function levels(values) {
  for (const [line, level] of Object.entries(values)) {
    const meter = $(`#line-${line} .meter`);
    if (!meter) continue;
    meter.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, (level + 60) / 60))})`;
    meter.classList.toggle("hot", level > -9);
    const shown = $(`#line-${line} .level`);
    if (shown) shown.textContent = `${Math.round(level)} dBm0`.replace("-", "−");
  }
}

function volts(values) {
  for (const [line, value] of Object.entries(values)) {
    const shown = $(`#line-${line} .volts`);
    if (shown) shown.textContent = `${shown.matches(".bare") ? "" : " · "}${value} V`;
    const bar = $(`#line-${line} .volts-bar i`);
    if (bar) bar.style.transform = `scaleX(${Math.min(1, Math.abs(value) / 60)})`;
  }
}

// By the box's clock: the browser's may be another.
let ahead = 0;
function tick() {
  for (const time of $$("time[data-since]"))
    time.textContent = time.dataset.since ? clock((Date.now() - ahead - Number(time.dataset.since)) / 1000) : "";
}

// An act that takes its time says so on its button; it has its words back where the form is still there afterwards.
function busy(button) {
  button.dataset.words = button.textContent;
  button.textContent = button.dataset.busy;
}

function free(button) {
  if (button.dataset.words) button.textContent = button.dataset.words;
  delete button.dataset.words;
}

// A step of the threshold wizard is a form that takes its seconds.
const measuring = {
  form: null,

  begin(form) {
    this.form = form;
    const [button, progress, since] = [$("button", form), $("progress", form), performance.now()];
    busy(button);
    progress.hidden = false;
    // Disabled only after the form has been read.
    setTimeout(() => { if (this.form === form) button.disabled = true; });
    const step = () => {
      if (this.form !== form) return;
      progress.value = Math.min(1, (performance.now() - since) / 1000 / (Number(form.dataset.seconds) + 0.5));
      requestAnimationFrame(step);
    };
    step();
  },

  // Also where the answer was a fault: then the form is still there.
  end() {
    const form = this.form;
    this.form = null;
    if (!form?.isConnected) return;
    const button = $("button", form);
    button.disabled = false;
    free(button);
    $("progress", form).hidden = true;
  },
};

// Setting up the box --------------------------------------------------------------------------------------------------

// The box's clock beside the browser's, and the browser's zone to be taken over.
function clocks() {
  const box = $("[data-clock=box]");
  if (!box) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const text = (ms, timeZone) => new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone }).format(ms);
  box.textContent = text(Date.now() - ahead, box.dataset.zone);
  $("[data-clock=browser]").textContent = text(Date.now(), zone);
  $("[data-clock=zone]").textContent = zone;
  const [apart, seconds] = [$("[data-clock=difference]"), Math.round(ahead / 1000)];
  const n = Math.abs(seconds) < 120 ? `${Math.abs(seconds)} s` : clock(Math.abs(seconds));
  apart.textContent = Math.abs(seconds) < 2 ? apart.dataset.same : (seconds < 0 ? apart.dataset.ahead : apart.dataset.behind).replace("{n}", n);
  for (const row of $$("[data-script]")) row.hidden = false;
  const take = $("[data-take-zone]");
  if (!take) return;
  $("b", take).textContent = zone;
  take.dataset.takeZone = zone;
  take.hidden = take.hidden && !$$("#zones option").some((option) => option.value === zone) || $("#f-zone").value === zone;
}

function countdowns() {
  for (const left of $$("[data-countdown]")) {
    left.dataset.ends ||= performance.now() + 1000 * Number(left.dataset.countdown);
    left.textContent = clock((Number(left.dataset.ends) - performance.now()) / 1000);
  }
}

// A part that goes on changing is asked for again; when it is over, its page is.
const asking = {
  timer: 0,

  look() {
    clearTimeout(this.timer);
    const part = $("[data-poll]");
    if (part) this.timer = setTimeout(() => this.ask(part.dataset.poll), 1000);
  },

  async ask(address) {
    const answer = await fetch(address).catch(() => null);
    if (answer?.ok && $("[data-poll]")) replace(await answer.text());
    const over = $("[data-reload]");
    if (over) { go(over.dataset.reload); return; }
    this.look();
  },
};

function go(address) { htmx.ajax("GET", address, { target: "#page", select: "#page", swap: "outerHTML" }); }

// A box that restarts: first it goes, then it comes back.
const returning = {
  begun: false,

  look() {
    const place = $("[data-returns]");
    if (!place || this.begun) return;
    this.begun = true;
    this.wait(place.dataset.returns, false, performance.now());
  },

  async wait(address, gone, since) {
    const up = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(4000) }).then((answer) => answer.ok, () => false);
    // One that never seemed to go was faster than we looked.
    if (up && (gone || performance.now() - since > 180000)) { location.assign(address); return; }
    setTimeout(() => this.wait(address, gone || !up, since), 2000);
  },
};

// An update's file is the body of a request of its own, so that its way can be shown.
const upload = {
  begin(form) {
    const [file, fault, button, bar] = [$("input[type=file]", form).files[0], $(".fault", form), $("button", form), $("progress", form)];
    const say = (words) => { fault.textContent = words; fault.hidden = false; button.disabled = false; bar.hidden = true; free(button); };
    fault.hidden = true;
    if (!file || !file.name.endsWith(".raucb")) return say(form.dataset.wrong);
    if (file.size === 0 || file.size > Number(form.dataset.largest)) return say(form.dataset.tooLarge);
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.upload}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-Form-Token", form.elements.csrf.value);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { bar.value = event.loaded / event.total; });
    request.addEventListener("load", () => {
      if (request.status === 200) go("/system/update");
      else if (request.status === 401) location.assign("/");
      else say(request.response?.fault ?? form.dataset.lost);
    });
    request.addEventListener("error", () => say(form.dataset.lost));
    busy(button);
    button.disabled = true;
    bar.hidden = false;
    request.send(file);
  },
};

// Tables --------------------------------------------------------------------------------------------------------------

function count() {
  const bar = $("#chosen .bar");
  if (!bar) return;
  const chosen = $$("#chosen input[name=handle]:checked").length;
  bar.dataset.none = chosen ? "0" : "1";
  const words = $(".count", bar);
  words.textContent = (chosen === 1 ? words.dataset.one : words.dataset.other).replace("{n}", chosen);
}

// Wiring --------------------------------------------------------------------------------------------------------------

const bar = $("#player");
const player = bar ? new Player(bar) : null;
const listener = new Listener((line, on) => {
  for (const button of $$("[data-listen]")) button.setAttribute("aria-pressed", String(on && button.dataset.listen === line));
});

function arrived() {
  const now = page()?.dataset.now;
  if (now) { ahead = Date.now() - Number(now); delete page().dataset.now; }
  stream.fresh = 0;
  stream.open();
  tick();
  count();
  levels(Object.fromEntries($$(".tile, .live").map((tile) => [tile.dataset.line, Number(tile.dataset.level)])));
  volts(Object.fromEntries($$('.live:not([data-volts=""])').map((live) => [live.dataset.line, Math.round(live.dataset.volts)])));
  $(".learn button.big")?.focus({ preventScroll: true });
  measuring.end();
  if (page()?.dataset.view !== "wall") listener.stop();
  const box = $("#waveform");
  if (box && !box.dataset.ready) waveform.draw(box);
  else if (!box) waveform.forget();
  player?.show();
  clocks();
  countdowns();
  asking.look();
  returning.look();
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-play], [data-do], [data-jump], [data-listen]");
  if (!target || !player) return;
  const { play, jump, listen } = target.dataset;
  if (play) {
    if (play === player.handle) player.toggle();
    else { player.take(target.dataset); player.toggle(); }
  } else if (jump) waveform.jump(Number(jump));
  else if (listen) { player.audio.pause(); listener.toggle(listen); }
  else ({ back: () => player.step(-10), on: () => player.step(10), toggle: () => player.toggle(),
          loop: () => player.loop(), close: () => player.close() })[target.dataset.do]?.();
});

document.addEventListener("submit", (event) => { if (event.target.dataset.seconds) measuring.begin(event.target); });
document.addEventListener("htmx:finally:request", (event) => {
  if (event.target.matches?.("form")) for (const button of $$("button[data-busy]", event.target)) free(button);
});
document.addEventListener("submit", (event) => {
  const [button, { upload: place, seconds }] = [$("button[data-busy]", event.target), event.target.dataset];
  if (place) { event.preventDefault(); event.stopPropagation(); upload.begin(event.target); }
  // Pressed once more while it is busy, it has its own words to come back to.
  else if (button && !seconds && !button.dataset.words) busy(button);
}, true);
document.addEventListener("click", (event) => {
  const take = event.target.closest("[data-take-zone]");
  if (take) { $("#f-zone").value = take.dataset.takeZone; clocks(); }
});

document.addEventListener("dblclick", (event) => {
  const button = event.target.closest(".tile") && !event.target.closest("button") && $("[data-listen]", event.target.closest(".tile"));
  if (button) button.click();
});

document.addEventListener("change", (event) => {
  if (event.target.id === "all") for (const box of $$("#chosen input[name=handle]")) box.checked = event.target.checked;
  count();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox], [type=range]), textarea, select, [contenteditable]");
  if (!player || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = event.target.closest("button, a, input, summary");
  // Space presses the button that has the focus; on a mark it goes on to play what the mark led to.
  if (event.key === " " && button && !button.dataset.jump) return;
  if (!player.handle && $("#waveform") && [" ", "ArrowLeft", "ArrowRight"].includes(event.key)) waveform.jump(0);
  if (!player.handle) return;
  const act = {
    " ": () => player.toggle(), ArrowLeft: () => player.step(-10), ArrowRight: () => player.step(10),
    "+": () => player.faster(1), "=": () => player.faster(1), "-": () => player.faster(-1),
  }[event.key];
  if (act && !(event.target === player.range && event.key.startsWith("Arrow"))) { event.preventDefault(); act(); }
});

document.addEventListener("visibilitychange", () => stream.open());
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail?.ctx?.select === "#page") { scrollTo(0, 0); $("#main")?.focus({ preventScroll: true }); }
  arrived();
});
document.addEventListener("htmx:before:cleanup", (event) => { if (event.target.contains?.($("#waveform"))) waveform.forget(); });
// No answer at all: a box that restarts, or one with a new certificate, which only the browser itself can ask about.
document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx?.request) return;
  if (ctx.request.method === "GET") { location.assign(ctx.request.action); return; }
  measuring.end();
  const place = $("#notice");
  place.replaceChildren(Object.assign(document.createElement("div"), { className: "notice bad", role: "alert", textContent: place.dataset.lost }));
  place.scrollIntoView({ block: "nearest" });
});
setInterval(() => { tick(); clocks(); countdowns(); }, 1000);
arrived();
