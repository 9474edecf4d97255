// What the page knows of the project, kept in step with the server by its events. Several tabs, a
// reload and a restart of the server all come to the same: the server is asked again.

import { ApiError, get } from "./api.js";

const RETRY = 1500; // milliseconds
export const FEW = 20; // images: a class with fewer is marked

export const state = {
  project: null, // what /api/project says
  jobs: new Map(), // the newest word on each job, by its id
  online: true,
  className: "", // whose images are shown; "" is all
  model: null, // the version that is looked at; null is the newest
};

const bus = new EventTarget();

/** Call `listener(detail)` on "project", "job", "online", "class" or "model". */
export function on(name, listener) {
  bus.addEventListener(name, (event) => listener(event.detail));
}

function tell(name, detail = null) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

let asked = null;
let again = false;

/** Ask for the project; questions that come while one is under way become one more, and wait for it. */
export function refresh() {
  if (asked) {
    again = true;
    return asked.then(() => asked);
  }
  asked = load().finally(() => {
    asked = null;
    if (again) {
      again = false;
      refresh();
    }
  });
  return asked;
}

async function load() {
  try {
    const project = await get("/api/project");
    state.project = project;
    if (project.training) state.jobs.set(project.training.id, project.training);
    online(true);
    if (state.className && !project.classes.some((one) => one.name === state.className)) {
      choose("");
    }
    tell("project", project);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    online(false, error);
  }
}

function online(is, error = null) {
  const changed = state.online !== is;
  state.online = is;
  if (changed || error) tell("online", { online: is, error });
}

/** Follow the server's events for as long as the page is open. */
export function follow() {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => refresh());
  source.addEventListener("project", (event) => {
    if (JSON.parse(event.data).version !== state.project?.version) refresh();
  });
  source.addEventListener("job", (event) => heard(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    online(false);
    if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
    setTimeout(follow, RETRY);
    refresh();
  });
}

/** Take note of what is said of a job. */
export function heard(job) {
  state.jobs.set(job.id, job);
  if (state.project && job.kind === "train") state.project.training = job;
  // That a check-up begins changes nothing of the project, so no event says so.
  const begun = job.kind === "checkup" && job.state === "running";
  if (state.project && begun) state.project.checkup.state = "running";
  tell("job", job);
  if (job.state !== "running") refresh();
}

/** Show the images of a class; "" is all. */
export function choose(className) {
  if (state.className === className) return;
  state.className = className;
  tell("class", className);
}

/** The version that is looked at: the chosen one, else the newest. */
export function currentModel() {
  const models = state.project?.models ?? [];
  return models.find((one) => one.id === state.model) ?? models[0] ?? null; // the newest is first
}

export function chooseModel(id) {
  state.model = id;
  tell("model", id);
}
