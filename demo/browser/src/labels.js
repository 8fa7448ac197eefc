// Label values, as in ctct/labels.py.

export const [BACKGROUND, RV, MYO, LV] = [0, 1, 2, 3];
export const STRUCTURES = [RV, MYO, LV];
export const NAMES = ["background", "RV", "MYO", "LV"];
export const COLORS = [[0, 0, 0], [86, 180, 233], [0, 158, 115], [230, 97, 0]];
