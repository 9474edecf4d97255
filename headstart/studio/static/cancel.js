// The button that cancels a training, a check-up or an export.

import { post } from "./api.js";
import { button, set, setText } from "./dom.js";
import { heard } from "./state.js";
import { texts } from "./texts.js";
import { failed } from "./undo.js";

/** A button that cancels the job given to its `draw`, and at the second press ends it. */
export function cancelButton(title) {
  let current = null;
  const element = button(texts.cancel, async () => {
    element.disabled = true;
    try {
      heard((await post("/api/jobs/cancel", { job: current.id })).job);
    } catch (error) {
      failed(error);
    } finally {
      element.disabled = false;
    }
  });
  const draw = (job) => {
    current = job;
    element.hidden = !job;
    const said = job?.cancelling ? texts.cancelAtOnce : texts.cancel;
    setText(element, said);
    set(element, "aria-label", title ? `${said}: ${title}` : said);
  };
  draw(null);
  return { element, draw };
}
