// What the page asks the server. Every failure becomes an `ApiError` whose message can be shown.

import { texts } from "./texts.js";

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const OWN = { "X-Headstart": "studio" };

async function answer(response) {
  if (response.ok) return response.json();
  const told = await response.json().catch(() => ({}));
  // What is refused before the routes comes as a text, and means little to people.
  const message = told?.error?.message ?? texts.errors.status(response.status, told?.error);
  throw new ApiError(message, response.status);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(texts.errors.offline);
  }
  return answer(response);
}

const part = encodeURIComponent;

/** An address with those parameters that are given. */
function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== "");
  const query = new URLSearchParams(given.filter(([, value]) => value !== undefined)).toString();
  return query ? `${path}?${query}` : path;
}

export const get = (path, parameters) => ask(address(path, parameters));

export const post = (path, body = {}) =>
  ask(path, {
    method: "POST",
    headers: { ...OWN, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** Send files: [{file, name}] into a class, or each into the class that its folder names. */
export function upload(files, className, signal) {
  const form = new FormData();
  for (const { file, name } of files) form.append("files", file, name);
  const path = address("/api/images", { class: className });
  return ask(path, { method: "POST", headers: OWN, body: form, signal });
}

/** What a model answers for an image. */
export function predict(model, blob, { map = false } = {}) {
  const path = address(`/api/models/${part(model)}/predict`, map ? { map: 1 } : {});
  const headers = { ...OWN, "Content-Type": blob.type || "application/octet-stream" };
  return ask(path, { method: "POST", headers, body: blob });
}

export const places = {
  thumbnail: (id) => `/api/images/${part(id)}/thumbnail`,
  full: (id) => `/api/images/${part(id)}/full`,
  model: (id, rest) => `/api/models/${part(id)}/${rest}`,
  map: (model, id) => `/api/models/${part(model)}/map/${part(id)}`,
  file: (model, file) => `/api/models/${part(model)}/exports/${part(file)}`,
  compare: (one, other) => `/api/models/${part(one)}/compare/${part(other)}`,
};
