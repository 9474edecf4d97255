// Every word of the page. A translation is another module like this one, with the same keys.

const LANGUAGE = "en";
const number = new Intl.NumberFormat(LANGUAGE).format;
const count = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;
const images = (value) => count(value, "image", "images");

function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = share * 100;
  // Nothing that is not certain is called 100% or 0%.
  if (value > 99.5 && value < 100) return "over 99%";
  if (value > 0 && value < 0.5) return "under 1%";
  return `${Math.round(value)}%`;
}

// The ends of an interval are rounded to the outside.
const between = (low, high) =>
  `${Math.floor(100 * low + 1e-9)}% to ${Math.ceil(100 * high - 1e-9)}%`;

function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 90) return count(Math.max(1, Math.round(seconds)), "second", "seconds");
  return count(Math.round(seconds / 60), "minute", "minutes");
}

const dates = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
const made = (text) => dates.format(new Date(text));

const KINDS = {
  broken: "cannot be used",
  leak: "copy on another side of the split",
  two_labels: "copy with another label",
  label: "probably wrong label",
  shortcut: "shortcut",
  copy: "the same file twice",
  near_copy: "nearly the same image",
  outlier: "unlike all others",
  blank: "nearly one colour",
  dark: "very dark",
  bright: "very bright",
  blurred: "blurred",
  tiny: "few pixels",
  odd: "unusual file",
  imbalance: "few images",
};

const STAGES = {
  read: "Reading the images",
  "prepare backbone": "Preparing the network",
  "fetch weights": "Fetching the weights",
  features: "Looking at each image",
  split: "Setting images aside for the test",
  looks: "Looking over the images",
  labels: "Judging labels",
  neighbours: "Looking for images that are alike",
  rank: "Comparing backbones",
  measure: "Timing the network",
  "try out": "Trying depths",
  "linear head": "Learning the classes",
  "mlp head": "Learning the classes",
  "fine-tune": "Fine-tuning the network",
  "cross-validate": "Testing in turns",
  evaluate: "Testing on images it has not seen",
  trust: "Measuring how far to trust it",
  thumbnails: "Drawing the report",
  save: "Saving",
};

export const texts = {
  studio: "studio",
  steps: "Steps",
  skip: "Skip to the content",
  views: { collect: "Collect", train: "Train", understand: "Understand", try: "Try", ship: "Ship" },
  number,
  percent,
  kind: (kind) => KINDS[kind] ?? kind,
  stageName: (stage) =>
    STAGES[stage] ?? (stage ? stage[0].toUpperCase() + stage.slice(1) : "Starting"),
  stage: (job) => `${texts.stageName(job.stage)}${job.total ? ` ${texts.part(job)}` : ""}`,
  part: ({ done, total }) => `${number(done)} of ${number(total)}`,
  left: ({ seconds_left: left, seconds }) =>
    Number.isFinite(left) ? `About ${duration(left)} left` : `${duration(seconds) || "Just"} so far`,
  took: ({ seconds }) => (duration(seconds) ? `It took ${duration(seconds)}.` : ""),
  seconds: (seconds) => (duration(seconds) ? `trained in ${duration(seconds)}` : ""),
  between,
  square: (size) => {
    const [height, width] = Array.isArray(size) ? size : [size, size];
    return typeof height === "number" ? `${width} × ${height} pixels` : String(size);
  },
  offer: (one) => (typeof one === "number" ? `${one} × ${one}` : String(one)),
  loading: "Loading…",
  undo: "Undo",
  undone: (text) => `Taken back: ${text}`,
  close: "Close",
  cancel: "Cancel",
  cancelAtOnce: "End at once",
  stop: "Stop",
  tryAgain: "Try again",
  before: "Previous",
  after: "Next",
  errors: {
    offline: "The studio does not answer. Is `headstart studio` still running?",
    status: (status, why) =>
      status === 401
        ? "Open the newest link that `headstart studio` printed."
        : `The server refused (${status})${why ? `: ${why}` : "."}`,
  },
  collect: {
    classes: "Classes",
    images: "Images",
    all: "All images",
    newClass: "New class",
    className: "Name of the class",
    create: "Create",
    add: "Add",
    rename: "Rename",
    renamed: (from, to) => `Renamed ${from} to ${to}.`,
    deleteClass: "Delete class",
    classDeleted: (name) => `Deleted the class ${name} and its images.`,
    whichClass: "Which class do these images show?",
    addFiles: "Add files",
    addFolder: "Add folder",
    camera: "Webcam",
    cameraNeedsClass: "Choose a class first.",
    few: (some, enough) => `Only ${images(some)}. From ${enough} on the result becomes useful.`,
    moveTo: "Move to…",
    view: "View",
    delete: "Delete",
    selectAll: "Select all",
    selectNone: "Select none",
    selected: (some) => `${number(some)} selected`,
    shown: (some) => images(some),
    moved: (some, to) => `Moved ${images(some)} to ${to}.`,
    deleted: (some) => `Deleted ${images(some)}.`,
    preview: "Image",
    nothing: (className, finding) => {
      if (finding) return "No image has this finding.";
      if (className) return "Drop images here, add files or use the webcam.";
      return "Drop a folder with one folder for each class here, or begin with a new class.";
    },
  },
  upload: {
    sending: (sent, wanted) => `Sending ${number(sent)} of ${count(wanted, "file", "files")}`,
    told: (added, refused, merged) =>
      `${images(added)} added${refused ? `, ${count(refused, "file", "files")} refused` : ""}.` +
      (merged ? " Train and test folders were put together; to keep them, open their folder." : ""),
    loose: "it lies beside the folders of the classes",
    refused: (some) => `${count(some, "file was", "files were")} refused: see why`,
  },
  camera: {
    video: "What the webcam sees",
    how: "Hold the button, or the space bar, and turn what you show: images from many sides help.",
    hold: "Hold to record",
    close: "Turn off",
    taken: (some) => `${images(some)} taken`,
    none: "No webcam can be used. Connect one, close what else uses it, and try again.",
    refused: "The browser does not allow the webcam. Allow it for this page and try again.",
  },
  checkup: {
    title: "What the check-up found",
    start: "Check the images",
    running: "Checking…",
    why: "Finds broken files, copies and labels that are probably wrong.",
    done: "Checked.",
    outdated: "The images have changed since the last check.",
    clean: "The check-up found nothing.",
    found: (some) => `The check-up found ${count(some, "thing", "things")} worth a look`,
    only: "Show only these images",
    showAll: (kind) => `Only “${kind}”. Show all images again.`,
    more: (some) => `Show more (${number(some)})`,
    fixed: (title) => `Done: ${title}`,
  },
  train: {
    title: "Train a classifier",
    howLong: "How much time may it take?",
    times: {
      quick: { name: "Quick", what: "Learns the classes on a ready-made network." },
      good: { name: "Good", what: "Also chooses the image size and fine-tunes, where it helps." },
      best: { name: "Best", what: "Also looks for the network that suits, for ten minutes." },
    },
    advanced: "Advanced choices",
    backbone: "Backbone",
    backboneNote: "The ready-made network; these are on this computer.",
    size: "Image size",
    sizeNote: "Larger sees finer detail and takes longer.",
    unfreeze: "Unfreeze",
    unfreezeNote: "How much of the network learns too.",
    augment: "Augment",
    augmentNote: "Learn from random views of the images too.",
    offers: {
      auto: "automatic",
      own: "as the network was trained",
      0: "nothing",
      20: "the last 20 layers",
      block: "the last block",
      all: "everything",
      none: "no",
    },
    go: "Train",
    needsClasses: "At least two classes with images are needed.",
    ready: (some, classes) => `Learns from ${images(some)} in ${number(classes)} classes.`,
    busy: "A training is under way.",
    progress: "Progress of the stage",
    cancelling: "Keeping the best so far…",
    states: { done: "Done", failed: "It failed", cancelled: "Cancelled", interrupted: "Interrupted" },
    see: "See how good it is",
    tryIt: "Try it",
    accuracy: "Accuracy on validation images",
    loss: "Loss",
    trainLoss: "training",
    validationLoss: "validation",
    epochs: (some) => count(some, "epoch", "epochs"),
    attempt: (number) => `, attempt ${number}`,
    curveSaid: (title, length, last) => `${title} over ${count(length, "epoch", "epochs")}: ${last}`,
  },
  versions: {
    label: "Version",
    name: (model) => `${made(model.made)}, ${percent(model.accuracy)}`,
  },
  understand: {
    nothing: "No classifier has been trained yet.",
    interval: (low, high) => `Likely ${between(low, high)} of new images like these.`,
    trainedOn: (some, classes) => `${images(some)}, ${count(classes, "class", "classes")}`,
    matrix: "What it takes for what",
    matrixHow: "Rows are what an image shows, columns what the classifier says.",
    answers: "answer",
    truth: "shows",
    cell: (some, truth, answer) =>
      `${images(some)} of ${truth} ${truth === answer ? "named right" : `taken for ${answer}`}`,
    pressCell: "Press a number to see its images.",
    gone: "No longer in the project",
    taken: (truth, answer, sure) => `${truth}, taken for ${answer} with ${percent(sure)}`,
    isTaken: ["", " taken for ", ", "],
    mapAlt: "The same image, with what spoke for the answer",
    worst: "Where it is most wrong",
    worstHow: "Often the label is wrong, not the answer. The second image shows what spoke for it.",
    noneWrong: "No test image was named wrong.",
    next: "What to add next",
    few: (enough) => `Add images of these classes first, each has under ${enough}: `,
    adviceColumns: ["class", "found", "advice"],
    fullReport: "Open the full report",
  },
  tryIt: {
    nothing: "There is nothing to try yet.",
    hint: "Drop or paste an image here.",
    choose: "Choose image",
    camera: "Webcam",
    cameraOff: "Webcam off",
    map: "Show the map",
    hideMap: "Hide the map",
    noMap: "This classifier has no map to show.",
    alt: "The image that is tried",
    waiting: "Waiting for an image",
    none: "None of these",
    noneWhy: (label) => `It is unlike the images learned from. The nearest class is ${label}.`,
    several: (names) => `Unsure: one of ${names.join(", ")}.`,
    sure: (share) => `Sure by ${percent(share)}.`,
    rate: (each) => `${each < 10 ? each.toFixed(1) : Math.round(each)} answers a second`,
  },
  ship: {
    nothing: "There is nothing to ship yet.",
    exports: "Take it away",
    exportsHow: "Each file is checked against the classifier before it is given out.",
    formats: {
      bundle: { title: "headstart bundle", what: "For headstart predict and headstart serve." },
      onnx: { title: "ONNX", what: "For ONNX Runtime: servers, browsers, .NET, Java." },
      openvino: { title: "OpenVINO", what: "For Intel processors and graphics." },
      litert: { title: "LiteRT", what: "For phones and small devices (TensorFlow Lite)." },
      keras: { title: "Keras", what: "To train on, or use from Python." },
      saved_model: { title: "SavedModel", what: "For TensorFlow Serving." },
      hub: { title: "Folder for a hub", what: "To publish: card, labels, a model to run, the bundle." },
    },
    int8: "8-bit weights",
    make: "Make",
    makeOf: (title) => `Make ${title}`,
    making: "Making it…",
    cancelling: "Ending it…",
    other: (title) => `Another version is being made into ${title}. One is made at a time.`,
    failed: "It could not be made.",
    download: (file) => `Download ${file}`,
    usage: "Use it",
    usageHow: "Start the server, then ask it from any language.",
    serve: "Start the server",
    client: "Ask it",
    language: "Language",
    languages: { python: "Python", curl: "curl", javascript: "JavaScript" },
    copy: "Copy",
    copyOf: (title) => `Copy: ${title}`,
    copied: "Copied.",
    compareTitle: "Compare two versions",
    alone: "Train a second time to compare.",
    with: "Compare with",
    compare: "Compare",
    comparing: "Comparing on the test images…",
    compareColumns: ["version", "accuracy", "95% interval"],
    onImages: (some) => `On ${images(some)}.`,
  },
};
