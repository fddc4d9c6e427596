// Plays what it is sent. It begins with 0.2 s in hand and, when more than 1 s has gathered, leaves the oldest out, so
// that what is heard stays close to the line.

const IN_HAND = 1600;
const MOST = 8000;

class Line extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    this.held = 0;
    this.at = 0;
    this.going = false;
    this.port.onmessage = ({ data }) => {
      this.blocks.push(data);
      this.held += data.length;
      while (this.held > MOST) { this.held -= this.blocks.shift().length - this.at; this.at = 0; }
    };
  }

  process(_, [[out]]) {
    this.going ||= this.held >= IN_HAND;
    for (let i = 0; this.going && i < out.length; i++) {
      if (!this.held) { this.going = false; break; }
      out[i] = this.blocks[0][this.at++];
      this.held--;
      if (this.at === this.blocks[0].length) { this.blocks.shift(); this.at = 0; }
    }
    return true;
  }
}

registerProcessor("line", Line);
