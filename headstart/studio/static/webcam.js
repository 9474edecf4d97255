// A webcam and its frames. Works on https and on this computer only, as browsers want it.

import { h } from "./dom.js";
import { texts } from "./texts.js";

export class Webcam {
  #stream = null;
  #canvas = document.createElement("canvas");

  constructor() {
    this.video = h("video", { muted: true, playsinline: true, "aria-label": texts.camera.video });
    this.video.muted = true;
  }

  get on() {
    return this.#stream !== null;
  }

  /** Ask for the camera; throws an error whose message can be shown. */
  async start() {
    if (this.on) return;
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(texts.camera.none);
    const wanted = { video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false };
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      const refused = error.name === "NotAllowedError";
      throw new Error(refused ? texts.camera.refused : texts.camera.none, { cause: error });
    }
    this.video.srcObject = this.#stream;
    await this.video.play();
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
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
