/** What part of the picture is seen: a shift in pixels of the screen, and a scale. Pure. */

import type { GraphNode } from "@/pages/lineage/types";

export interface View {
  x: number;
  y: number;
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

export const LEAST = 0.08;
export const MOST = 2.5;

/** The whole picture, in the middle, no larger than it is. */
export function fitted(picture: Size, screen: Size, margin = 32): View {
  const scale = Math.min(
    1,
    Math.max(
      LEAST,
      Math.min(
        (screen.width - 2 * margin) / Math.max(picture.width, 1),
        (screen.height - 2 * margin) / Math.max(picture.height, 1),
      ),
    ),
  );
  return {
    x: (screen.width - picture.width * scale) / 2,
    y: (screen.height - picture.height * scale) / 2,
    scale,
  };
}

/** Another scale, so that what is at a point of the screen stays there. */
export function zoomed(view: View, factor: number, x: number, y: number): View {
  const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
  const by = scale / view.scale;
  return { x: x - (x - view.x) * by, y: y - (y - view.y) * by, scale };
}

/** The same scale, with a card in the middle. */
export function centred(view: View, node: GraphNode, screen: Size): View {
  return {
    ...view,
    x: screen.width / 2 - (node.x + node.width / 2) * view.scale,
    y: screen.height / 2 - (node.y + node.height / 2) * view.scale,
  };
}

/** Whether a card is seen, or nearly so. */
export function sees(view: View, screen: Size, node: GraphNode, margin = 120): boolean {
  const left = node.x * view.scale + view.x;
  const top = node.y * view.scale + view.y;
  return (
    left < screen.width + margin &&
    top < screen.height + margin &&
    left + node.width * view.scale > -margin &&
    top + node.height * view.scale > -margin
  );
}

const LEGIBLE = 0.55;

/** Where a picture is looked at first: all of it, or, when it would be too small to read, around one card or from the left. */
export function first(picture: Size, screen: Size, at: GraphNode | undefined): View {
  const all = fitted(picture, screen);
  if (all.scale >= LEGIBLE) return all;
  if (at) return centred({ ...all, scale: 0.8 }, at, screen);
  const high = picture.height * LEGIBLE;
  return { x: 24, y: high < screen.height ? (screen.height - high) / 2 : 24, scale: LEGIBLE };
}

/** `12,-40,0.8` and back; null for what is no view. */
export function written(view: View): string {
  return [Math.round(view.x), Math.round(view.y), Number(view.scale.toFixed(3))].join(",");
}

export function read(text: string | null): View | null {
  const [x, y, scale] = (text ?? "").split(",").map(Number);
  if (!text || ![x, y, scale].every(Number.isFinite) || !scale || scale < LEAST || scale > MOST) return null;
  return { x: x as number, y: y as number, scale };
}
