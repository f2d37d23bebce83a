// Boxes and contours in pixels of the film, as diagnosis/regions.py keeps them: how they are moved, sized and said.
export const MOST_POINTS = 500;
export const NAMES = { box: "Box", outline: "Contour" };
const LEAST = 0.005; // of the film's side; smaller is a slip of the hand

/** Left, top, right and bottom. */
export function bounds({ points }) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

export function corners({ kind, points }) {
  if (kind !== "box") return points;
  const [[a, b], [c, d]] = points;
  return [[a, b], [c, b], [c, d], [a, d]];
}

/** The point inside the film, to a tenth of a pixel. */
export function inside([x, y], { width, height }) {
  const clamp = (value, most) => Math.round(Math.max(0, Math.min(value, most)) * 10) / 10;
  return [clamp(x, width), clamp(y, height)];
}

/** The region as it is kept; null where it is too small to be meant. */
export function kept({ kind, points }, film) {
  const placed = points.map((point) => inside(point, film));
  const [left, top, right, bottom] = bounds({ points: placed });
  if (right - left < film.width * LEAST || bottom - top < film.height * LEAST) return null;
  if (kind === "box") return { kind, points: [[left, top], [right, bottom]] };
  return placed.length > 2 ? { kind, points: placed } : null;
}

/** Its points, moved by film pixels, but never beyond the film. */
export function moved(region, [dx, dy], film) {
  const [left, top, right, bottom] = bounds(region);
  const mx = Math.max(-left, Math.min(dx, film.width - right));
  const my = Math.max(-top, Math.min(dy, film.height - bottom));
  return region.points.map(([x, y]) => inside([x + mx, y + my], film));
}

/**
 * Its points, grown along one side of the film (0 across, 1 down) by film pixels. `forward` is whether the right or
 * lower side of the film moves; the other one stays.
 */
export function sized(region, side, by, forward, film) {
  const box = bounds(region);
  const [low, high] = [box[side], box[side + 2]];
  const all = side ? film.height : film.width;
  const still = forward ? low : high;
  const room = forward ? all - low : high;
  const now = high - low;
  const wanted = Math.max(all * LEAST * 2, Math.min(now + by, room));
  return region.points.map((point) => {
    const grown = [...point];
    grown[side] = still + ((point[side] - still) * wanted) / now;
    return inside(grown, film);
  });
}

/** A box with one corner (0 to 3, clockwise from the top left) taken elsewhere. */
export function cornered(region, corner, place, film) {
  return kept({ kind: "box", points: [corners(region)[(corner + 2) % 4], place] }, film)?.points ?? region.points;
}

/** Its size in millimetres where the size of a pixel is known, else in pixels. */
export function size(region, spacing) {
  const [left, top, right, bottom] = bounds(region);
  const [w, h] = [right - left, bottom - top];
  if (!spacing) return `${Math.round(w)} × ${Math.round(h)} pixels`;
  return `${Math.round(w * spacing.column)} × ${Math.round(h * spacing.row)} mm${spacing.detector ? " at the detector" : ""}`;
}
