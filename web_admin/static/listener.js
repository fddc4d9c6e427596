// Live listening: the line's samples come as a stream of 16-bit numbers at 8000 a second and go into an AudioWorklet,
// which keeps a fifth of a second in hand. One line at a time.

export class Listener {
  constructor(report) {
    this.report = report;
    this.line = null;
  }

  async toggle(line) {
    const same = this.line === line;
    this.stop();
    if (!same) await this.start(line);
  }

  async start(line) {
    this.line = line;
    this.show();
    const stop = new AbortController();
    this.abort = stop;
    try {
      this.context = new AudioContext({ sampleRate: 8000 });
      await this.context.audioWorklet.addModule("/static/listen-worklet.js");
      const node = new AudioWorkletNode(this.context, "line", { outputChannelCount: [1] });
      node.connect(this.context.destination);
      const answer = await fetch(`/lines/${line}/listen`, { signal: stop.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      await this.pump(answer.body.getReader(), node);
      this.stop();
    } catch (error) {
      if (this.abort === stop) this.stop();
      if (error.name !== "AbortError") throw error;
    }
  }

  // A piece of the stream may end inside a sample: the odd byte waits for the next one.
  async pump(reader, node) {
    let rest = new Uint8Array(0);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const bytes = new Uint8Array(rest.length + value.length);
      bytes.set(rest);
      bytes.set(value, rest.length);
      const even = bytes.length - (bytes.length % 2);
      rest = bytes.slice(even);
      const view = new DataView(bytes.buffer, 0, even);
      const samples = Float32Array.from({ length: even / 2 }, (_, i) => view.getInt16(2 * i, true) / 32768);
      node.port.postMessage(samples, [samples.buffer]);
    }
  }

  stop() {
    this.abort?.abort();
    this.context?.close();
    this.abort = this.context = this.line = null;
    this.show();
  }

  show() { this.report(this.line, this.line !== null); }
}
