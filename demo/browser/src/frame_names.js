// ED and ES in files of their own, as their names say; see ctct/io/patient_info.py.

const NUMBER = /(?:^|[_\-. ])(?:frame|phase)[_-]?(\d+)(?=$|[_\-. ])/i;
const PHASE = new RegExp("(?:^|[_\\-. ])(?:[lr]v[_\\-. ]?(?=e[ds]))?"
  + "(?:(?<ED>ed|(?:end[_-]?)?dia(?:stol(?:e|ic))?)|(?<ES>es|(?:end[_-]?)?sys(?:tol(?:e|ic))?))(?=(?:[_\\-. ]sax?)?$)", "i");
const LONG_AXIS = /(?:^|[_\-. ])(?:lax?|[234]ch)(?=$|[_\-. ])/i;

/** {patient, number, phase} of the name of a file without its ending; number null, phase "" where it says none. */
export function parseName(name) {
  let rest = name.replace(/_0000$/, "");
  const take = (pattern) => {
    const match = rest.match(pattern);
    if (match) rest = rest.slice(0, match.index) + rest.slice(match.index + match[0].length);
    return match;
  };
  const number = take(NUMBER), phase = take(PHASE);
  if (!(number || phase) || LONG_AXIS.test(rest)) return { patient: name, number: null, phase: "" };
  return {
    patient: rest.replace(/^[_\-. ]+|[_\-. ]+$/g, ""),
    number: number ? Number(number[1]) : null,
    phase: phase ? (phase.groups.ED ? "ED" : "ES") : "",
  };
}

/** The patient and the places of files in the cycle, if their names say that they are frames of one; else null. */
export function joinNames(names) {
  const parts = names.map(parseName);
  const [{ patient, number }] = parts;
  const keys = parts.map((part) => part.number ?? part.phase);
  const isOne = parts.every((part) => part.patient === patient && (part.number === null) === (number === null));
  if (!patient || !isOne || keys.includes("") || new Set(keys).size < keys.length) return null;
  const order = keys.map((_, n) => n).sort((a, b) => (keys[a] < keys[b] ? -1 : 1));
  const at = (phase) => {
    const found = order.findIndex((n) => parts[n].phase === phase);
    return found < 0 ? null : found;
  };
  return { patient, order, given: { ed: at("ED"), es: at("ES") } };
}
