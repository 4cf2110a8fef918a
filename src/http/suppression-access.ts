/** Finds suppressions by an address or an id, and removes them. */
import { suppressionIdForm } from '../domain/id.ts';
import { type Suppression, soughtForm } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';

/** @param sought an address, or the id of one of its suppressions */
export async function seekSuppressions(
  suppressions: Pick<Suppressions, 'get' | 'byId'>,
  sought: string,
): Promise<Suppression[]> {
  if (!suppressionIdForm.test(sought)) return suppressions.get(soughtForm(sought));
  const found = await suppressions.byId(sought);
  return found === null ? [] : [found];
}

export type RemovalDeps = {
  suppressions: Pick<Suppressions, 'remove'>;
  /** Called when an address can get mail again, with the key that removed its suppression. */
  reportUnsuppressed(removed: { suppression: Suppression; keyId: string }): void;
};

/** @returns whether any of them was still there */
export async function unsuppress(
  { suppressions, reportUnsuppressed }: RemovalDeps,
  found: readonly Suppression[],
  keyId: string,
): Promise<boolean> {
  let wasThere = false;
  for (const suppression of found) {
    if (!(await suppressions.remove(suppression))) continue;
    wasThere = true;
    reportUnsuppressed({ suppression, keyId });
  }
  return wasThere;
}
