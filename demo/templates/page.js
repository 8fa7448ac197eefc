// The page around the viewer: what is edited there is shown here, and not lost without a word.
(() => {
  const LOSS = "Edited contours are not saved. Leave them?";
  let last = null; // the edited result that was told last
  const viewer = () => document.querySelector("iframe.ctct-viewer");
  const isUnsaved = () => Boolean(last?.isUnsaved && viewer()?.contentWindow === last.from);

  addEventListener("message", ({ source, data }) => {
    if (!data?.ctct || source !== viewer()?.contentWindow) return;
    if (data.ctct.height) viewer().style.height = `${Math.ceil(data.ctct.height)}px`;
    else show(last = { ...data.ctct, from: source });
  });

  /** Put the edited result in place of the automatic one. */
  function show({ edited, verdict, reasons, phases, indices }) {
    const answers = document.querySelector("#answers .ctct");
    const badge = answers?.querySelector(".badge");
    if (!badge) return; // the answers are still to come
    answers.dataset.edited = edited;
    badge.textContent = verdict;
    badge.className = `badge ${verdict}`;
    const note = answers.querySelector(".edited");
    note.hidden = !edited;
    note.textContent = `Edited, ${edited} voxels differ: numbers, verdict and reasons are of the edited labels. `
      + "The files below, the pictures and the ranges over models are of the automatic ones.";
    if (phases) answers.querySelector(".phases").textContent = `${phases}.`;
    const shown = reasons.length ? reasons : ["No flag was raised."];
    answers.querySelector(".reasons").replaceChildren(...shown.map((reason) =>
      Object.assign(document.createElement("li"), { textContent: reason })));
    const byName = new Map(indices.map(([name, value, mark]) => [name, [value, mark]]));
    for (const row of answers.querySelectorAll("tbody tr")) {
      const [value, mark] = byName.get(row.cells[0].textContent) ?? [];
      if (value === undefined) continue;
      const text = Number.isFinite(value) ? value.toFixed(Math.abs(value) < 10 ? 2 : 1) : "–";
      const cell = mark ? Object.assign(document.createElement("span"), { className: "outside" }) : row.cells[1];
      cell.textContent = mark ? `${text} ${mark}` : text;
      if (mark) row.cells[1].replaceChildren(cell);
    }
  }

  /** Say the stage, and what came of it, to those who do not see the page. */
  function announce() {
    const status = document.getElementById("ctct-status");
    const title = document.querySelector("#answers h2");
    const text = title ? `Done: ${title.textContent.trim().replace(/\s+/g, " ")}`
      : document.querySelector("#answers [role=status]")?.textContent ?? "";
    if (status && status.textContent !== text) status.textContent = text;
  }

  new MutationObserver(() => {
    announce();
    const answers = document.querySelector("#answers .ctct");
    if (last?.edited && viewer()?.contentWindow === last.from && answers && !answers.dataset.edited) show(last);
  }).observe(document, { childList: true, subtree: true });

  addEventListener("beforeunload", (event) => {
    if (!isUnsaved()) return;
    event.preventDefault();
    event.returnValue = LOSS;
  });

  /** Before another scan takes the place of an edited one. */
  function guard(event) {
    if (!event.target.closest?.("#samples button, #upload") || !isUnsaved() || confirm(LOSS)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.target.type === "file") event.target.value = "";
  }
  addEventListener("click", (event) => { if (event.target.closest?.("#samples button")) guard(event); }, true);
  for (const name of ["change", "drop"]) addEventListener(name, guard, true);
})();
