/** What is the matter with a scan, and what to do, in a sentence for the reader. */
export class InputError extends Error {}
