// A webcam and its frames. Works on https and on this computer only, as browsers want it.

import { h } from "./dom.js";
import { texts } from "./texts.js";

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

export class Webcam {
  #stream = null;
  #canvas = document.createElement("canvas");
  #turn = 0; // raised by each start and stop: what was asked for before is not wanted any more

  constructor() {
    this.video = h("video", { muted: true, playsinline: true, "aria-label": texts.camera.video });
    this.video.muted = true;
  }

  get on() {
    return this.#stream !== null;
  }

  /**
   * Ask for the camera; throws an error whose message can be shown. Tells whether it is on: it is not
   * where it was stopped, or started once more, before the user had allowed it.
   */
  async start() {
    if (this.on) return true;
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(texts.camera.none);
    const wanted = { video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false };
    this.#turn += 1;
    const mine = this.#turn;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      if (mine !== this.#turn) return false;
      const refused = error.name === "NotAllowedError";
      throw new Error(refused ? texts.camera.refused : texts.camera.none, { cause: error });
    }
    if (mine !== this.#turn) {
      end(stream);
      return false;
    }
    this.#stream = stream;
    this.video.srcObject = stream;
    await this.video.play();
    return this.on;
  }

  stop() {
    this.#turn += 1;
    if (this.on) end(this.#stream);
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** The frame that is seen now as a JPEG whose longer side has at most `most` pixels; or null. */
  frame(most) {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!this.on || !width) return Promise.resolve(null);
    const scale = Math.min(1, most / Math.max(width, height));
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const drawing = this.#canvas.getContext("2d");
    drawing.drawImage(this.video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", 0.9));
  }
}
