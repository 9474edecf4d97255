// What was dropped or picked, whole folders too, as a list of {file, name, className, aside}; the
// class comes from the folders and is "" where there are none; `aside` says that it lay in a test part.

// Folders that say which part an image is for, not which class it shows.
const SIDES = /^(train(ing)?|val(id(ation)?)?|test(ing)?|dev)$/i;
const ASIDE = /^(val|test|dev)/i; // of these, those whose images are not learned from
const JUNK = /^(\.|__MACOSX$|Thumbs\.db$|desktop\.ini$)/i;

function entriesOf(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function walk(entry, found) {
  if (JUNK.test(entry.name)) return;
  if (entry.isFile) {
    found.push({ path: entry.fullPath.replace(/^\//, ""), file: await fileOf(entry) });
    return;
  }
  const reader = entry.createReader();
  // A reader gives at most 100 at a time, then none.
  for (let some = await entriesOf(reader); some.length; some = await entriesOf(reader)) {
    for (const one of some) await walk(one, found);
  }
}

/** Read a drop or a paste. Must be called within the event: later the data are gone. */
export function readTransfer(transfer) {
  const items = [...transfer.items].filter((one) => one.kind === "file");
  const entries = items.map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Promise.resolve(named([...transfer.files].map(plain)));
  return (async () => {
    const found = [];
    for (const entry of entries) await walk(entry, found);
    return named(found);
  })();
}

/** Read what a file picker gave. */
export function readPicker(files) {
  const found = [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return named(found.filter(({ path }) => !path.split("/").some((part) => JUNK.test(part))));
}

function plain(file) {
  return { path: file.name, file };
}

/** How many leading folders all paths share. */
function shared(folders) {
  const first = folders[0] ?? [];
  let length = first.length;
  for (const each of folders) {
    let same = 0;
    while (same < length && each[same] === first[same]) same += 1;
    length = same;
  }
  return length;
}

/**
 * Give each file its class: the first folder that differs, or the last that all share. Files beside
 * the folders of several classes belong to none of them: their class is null.
 */
function named(found) {
  const split = found.map(({ path }) => path.split("/").filter(Boolean));
  const folders = split.map((parts) => parts.slice(0, -1).filter((part) => !SIDES.test(part)));
  const withFolder = folders.filter((one) => one.length);
  let start = shared(withFolder);
  const deeper = new Set(withFolder.map((parts) => parts[start]).filter(Boolean));
  const beside = withFolder.some((parts) => parts.length === start);
  // One folder within the only one: no class of its own, "roses/a.jpg" and "roses/near/b.jpg".
  if (deeper.size === 1 && beside) start -= 1;
  const loose = deeper.size > 1 ? null : undefined;
  return found.map(({ file }, place) => {
    const parts = folders[place];
    const last = parts.length ? (loose === undefined ? parts.at(-1) : loose) : "";
    const className = parts[start] ?? last;
    const aside = split[place].slice(0, -1).some((part) => SIDES.test(part) && ASIDE.test(part));
    return { file, name: split[place].at(-1) ?? file.name, className, aside };
  });
}

export const isArchive = ({ name }) => /\.zip$/i.test(name);

/** Images from a paste. */
export function pastedImage(event) {
  return [...event.clipboardData.files].find((file) => file.type.startsWith("image/")) ?? null;
}
