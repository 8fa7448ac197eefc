// Names of files and series that are no short-axis cine, as in ctct/io/sequences.py.

const SEQUENCES = {
  "late enhancement": "lge|psir|mde|late (gad\\w*|enh\\w*)|delayed (enh\\w*|hyper\\w*)|viab\\w*|"
    + "inversion rec\\w*|(ti|look) ?(scout|locker)",
  "a map of T1, T2 or extracellular volume": "t[12] ?(star)? ?map\\w*|(post|pre)? ?molli|"
    + "(sh)?molli|sasha|ecv|t2 ?star|[mr][12] ?map",
  "a T1- or T2-weighted image": "t[12] ?w(eighted|i)?|t2 ?(prep\\w*|stir|tse|spair)|stir|tirm|"
    + "(dark|black) ?blood|haste|tse",
  perfusion: "perf\\w*|first ?pass",
  "a localizer": "locali[sz]er|scout|survey|topogram",
};
const OTHER_CINES = {
  flow: "[24]d ?flow|flow|phase ?contrast|venc\\w*|pc ?mri|pcmr",
  tagging: "tagg(ed|ing)|tag ?cine|cine ?tag|c?spamm",
};
const CINE = "cine|ssfp|trufi|fiesta|b?tfe";
const SHORT_AXIS = "sax?|short ?axis";
const OTHER_VIEW = "[234] ?(ch|cv)|(two|three|four|[234]) ?chambers?|(?<!de )lax?|long ?axis|[hv]la|"
  + "[lr]vot|axial|coronal|sagittal";
export const OTHER = "a view other than the short axis";
const DELAYED = /(?<![A-Za-z0-9])DE(?![A-Za-z0-9])/;

const says = (words, pattern) => new RegExp(`(?<![a-z0-9])(${pattern})(?![a-z])`).test(words);

/** What the name of a file or series calls it that is no short-axis cine; "" if nothing. */
export function describeName(name) {
  const words = name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").replace(/[^\p{L}\p{N}]+/gu, " ").toLowerCase();
  const isCine = says(words, CINE);
  if (!isCine && DELAYED.test(name.replaceAll("_", " "))) return "late enhancement";
  for (const [sequence, pattern] of Object.entries(isCine ? OTHER_CINES : { ...SEQUENCES, ...OTHER_CINES }))
    if (says(words, pattern)) return sequence;
  return says(words, OTHER_VIEW) && !says(words, SHORT_AXIS) ? OTHER : "";
}

/** Notes on a file whose name speaks against a short-axis cine. */
export function noteName(name) {
  const said = describeName(name);
  return said ? [`this is no short-axis cine: its name speaks of ${said}`] : [];
}
