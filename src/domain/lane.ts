/** Lanes: what a person waits for never stands behind what went out in bulk. */

export const lanes = ['transactional', 'bulk'] as const;

export type Lane = (typeof lanes)[number];
